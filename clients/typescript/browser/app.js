// A page on another origin than the service: everything here is what a browser lets such a page do. run.mjs calls it and reads the
// steps it returns.
const steps = [];

function check(name, holds, detail = '') {
  steps.push({ name, ok: Boolean(holds), detail: String(detail) });
  const item = document.createElement('li');
  item.textContent = `${holds ? 'ok' : 'FAIL'} ${name}${holds ? '' : ` (${detail})`}`;
  document.getElementById('steps').append(item);
}

window.tryService = async ({ url, username, password }) => {
  let token = '';
  const call = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        'Accept-Language': 'en',
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
  };

  try {
    const login = await call('POST', '/v1/auth/login', { username, password });
    token = login.body?.access_token ?? '';
    check('sign in', login.status === 200 && token, login.body?.code);
    check('X-Request-Id can be read', login.headers.get('X-Request-Id'));

    const stores = await call('GET', '/v1/stores?limit=1');
    let store = stores.body?.items?.[0];
    if (!store) store = (await call('POST', '/v1/stores', { code: 'PAGE', name: '页面店' }, { 'Idempotency-Key': crypto.randomUUID() })).body;
    check('list or create a store', store?.id, JSON.stringify(store));

    const read = await call('GET', `/v1/stores/${store.id}`);
    const etag = read.headers.get('ETag');
    check('ETag can be read', etag);
    const again = await fetch(`${url}/v1/stores/${store.id}`, { headers: { Authorization: `Bearer ${token}`, 'If-None-Match': etag ?? '' }, cache: 'no-store' });
    check('If-None-Match answers 304', again.status === 304, again.status);

    const overridden = await call('POST', `/v1/stores/${store.id}`, { city: '上海' }, { 'X-HTTP-Method-Override': 'PATCH', 'If-Match': etag });
    check('POST with X-HTTP-Method-Override changes it', overridden.status === 200 && overridden.body.city === '上海', JSON.stringify(overridden.body));
    const patched = await call('PATCH', `/v1/stores/${store.id}`, { city: '北京' });
    check('PATCH changes it', patched.status === 200 && patched.body.city === '北京', JSON.stringify(patched.body));
    const stale = await call('PATCH', `/v1/stores/${store.id}`, { city: '广州' }, { 'If-Match': etag });
    check('an outdated If-Match answers 412', stale.status === 412, stale.status);

    await follow(url, store, call);

    const missing = await call('GET', '/v1/stores/00000000-0000-7000-8000-000000000000');
    check('a problem can be read', missing.status === 404 && missing.body?.code, JSON.stringify(missing.body));
  } catch (error) {
    check('no exception', false, error);
  }
  return steps;
};

// follow opens the stream of a store's orders with a ticket and sells something there.
async function follow(url, store, call) {
  const path = `/v1/stores/${store.id}/order-events`;
  const ticket = (await call('POST', '/v1/stream-tickets', { path })).body?.ticket;
  check('stream ticket', ticket);
  const address = `${url}${path}?ticket=${encodeURIComponent(ticket)}`;
  const source = new EventSource(address);
  const opened = await within(5000, new Promise((resolve) => {
    source.onopen = () => resolve(true);
    source.onerror = () => resolve(false);
  }));
  check('EventSource opens with the ticket', opened === true, opened);

  const reused = await fetch(address);
  check('a ticket is good once', reused.status === 401, reused.status);

  const event = new Promise((resolve) => source.addEventListener('order.completed', (e) => resolve(JSON.parse(e.data))));
  const sold = await call('POST', '/v1/pos/orders', {
    create_missing_variants: true,
    orders: [{
      store_id: store.id, external_number: crypto.randomUUID(), placed_at: new Date().toISOString(),
      lines: [{ sku: 'PAGE-1', title: '样品', category: '样品', quantity: 1, unit_price_amount: 100 }],
    }],
  });
  const orderId = sold.body?.results?.[0]?.order_id;
  check('sell something', sold.status === 200 && orderId, JSON.stringify(sold.body));
  const data = await within(10000, event);
  check('its event arrives', data?.order_id === orderId, JSON.stringify(data));
  source.close();
}

function within(milliseconds, promise) {
  return Promise.race([promise, new Promise((resolve) => setTimeout(() => resolve('timed out'), milliseconds))]);
}
