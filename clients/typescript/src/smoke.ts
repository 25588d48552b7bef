// Tries the generated types against a running service: what compiles here must also work there.
//
//   SHUKE_URL=http://127.0.0.1:8080 SHUKE_PASSWORD=… npm run smoke        (after npm run check)
//
// SHUKE_USERNAME is admin unless set. It makes one customer (and a store, if there is none) and archives the customer again, and one
// member of staff, who signs in with an authenticator app and is disabled again. With SHUKE_FAKES_URL, where the service's stand-ins
// are, a member signs in too.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import createClient from 'openapi-fetch';
import type { components, paths } from '../generated/schema.js';

type Problem = components['schemas']['Problem'];

const baseUrl = process.env['SHUKE_URL'] ?? 'http://127.0.0.1:8080';
const username = process.env['SHUKE_USERNAME'] ?? 'admin';
const password = process.env['SHUKE_PASSWORD'] ?? process.env['SHUKE_ADMIN_PASSWORD'];
if (!password) throw new Error('SHUKE_PASSWORD is not set');

const api = createClient<paths>({ baseUrl });
let accessToken = '';
api.use({
  onRequest({ request }) {
    if (accessToken) request.headers.set('Authorization', `Bearer ${accessToken}`);
    return request;
  },
});

let done = 0;
async function step<T>(name: string, run: () => Promise<T>): Promise<T> {
  try {
    const result = await run();
    done++;
    console.log(`ok   ${name}`);
    return result;
  } catch (error) {
    console.error(`FAIL ${name}`);
    throw error;
  }
}

/** The data of a call that must succeed; otherwise the problem, which every operation types alike. */
function must<T>(call: { data?: T; error?: Problem; response: Response }): T {
  if (call.error) assert.fail(`${call.response.status} ${call.error.code}: ${JSON.stringify(call.error)}`);
  assert.ok(call.data !== undefined, `${call.response.url}: ${call.response.status} without a body`);
  return call.data;
}

const session = await step('sign in', async () => {
  const result = must(await api.POST('/v1/auth/login', { body: { username, password } }));
  assert.equal(result.mfa_required, false);
  assert.ok(result.access_token && result.refresh_token);
  accessToken = result.access_token;
  return result.refresh_token;
});

await step('who am I', async () => {
  const me = must(await api.GET('/v1/me/staff'));
  assert.ok(me.permissions.includes('customers.create'));
});

/** What an authenticator app shows (RFC 6238), ahead by some steps of 30 seconds. */
function totp(secret: string, ahead = 0): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const sum = createHmac('sha1', key).update(counter).digest();
  const code = (sum.readUInt32BE((sum[sum.length - 1] ?? 0) & 15) & 0x7fffffff) % 1_000_000;
  return String(code).padStart(6, '0');
}

const adminToken = accessToken;
const colleague = { username: `smoke-${randomUUID().slice(0, 8)}`, password: randomUUID() };
const staff = await step('make a member of staff', async () => {
  const body = { ...colleague, name: '试运行', must_change_password: false, grants: [{ role: 'analyst', scope: 'all' as const }] };
  return must(await api.POST('/v1/staff', { body }));
});

const device = await step('set up an authenticator app', async () => {
  const signedIn = must(await api.POST('/v1/auth/login', { body: colleague }));
  assert.equal(signedIn.mfa_required, false);
  assert.ok(signedIn.access_token && signedIn.device_token);
  accessToken = signedIn.access_token;
  const { secret, url } = must(await api.POST('/v1/auth/mfa/totp'));
  assert.ok(url.startsWith('otpauth://totp/'));
  const { recovery_codes } = must(await api.POST('/v1/auth/mfa/totp/confirm', { body: { code: totp(secret) } }));
  assert.equal(recovery_codes.length, 10);
  const { error } = await api.DELETE('/v1/auth/sessions', { params: { query: { all: true } } });
  assert.equal(error, undefined);
  return { secret, recovery_codes, token: signedIn.device_token };
});

await step('sign in with the app', async () => {
  accessToken = '';
  const half = must(await api.POST('/v1/auth/login', { body: { ...colleague, device_token: device.token } }));
  assert.equal(half.mfa_required, true);
  assert.equal(half.access_token, undefined);
  assert.deepEqual(half.methods, ['totp', 'recovery_code']);
  assert.ok(half.mfa_token);
  const verify = (code: string) =>
    api.POST('/v1/auth/mfa/verify', { body: { mfa_token: half.mfa_token ?? '', method: 'totp', code } });
  const wrong = await verify('no code');
  assert.equal(wrong.error?.code, 'auth.code_wrong');
  // The step now was spent on setting up; the service takes one step ahead.
  const full = must(await verify(totp(device.secret, 1)));
  assert.ok(full.access_token);
  assert.equal(full.device_token, device.token);
  accessToken = full.access_token;
  assert.equal(must(await api.GET('/v1/me/staff')).name, colleague.username);
});

await step('prove again who is there', async () => {
  const byPassword = await api.POST('/v1/auth/step-up', { body: { method: 'password', password: colleague.password } });
  assert.equal(byPassword.error?.code, 'auth.method_not_counted');
  must(await api.POST('/v1/auth/step-up', { body: { method: 'recovery_code', code: device.recovery_codes[0] ?? '' } }));
  const own = must(await api.GET('/v1/auth/mfa'));
  assert.equal(own.recovery_codes_left, 9);
  assert.ok(own.fresh_until);
  accessToken = adminToken;
  must(await api.PATCH('/v1/staff/{id}', { params: { path: { id: staff.id } }, body: { status: 'disabled' } }));
});

const store = await step('list stores', async () => {
  const page = must(await api.GET('/v1/stores', { params: { query: { limit: 1 } } }));
  assert.equal(typeof page.has_more, 'boolean');
  return page.items[0] ?? must(await api.POST('/v1/stores', { body: { code: 'SMOKE', name: '试运行店' } }));
});

// A subscriber number that is the test's own: 199 and eight digits.
const phone = `199${String(Math.floor(Math.random() * 1e8)).padStart(8, '0')}`;
const key = randomUUID();
const create = () =>
  api.POST('/v1/customers', {
    params: { header: { 'Idempotency-Key': key } },
    body: { name: '李晓明', phone, home_store_id: store.id, source: 'api' },
  });

const customer = await step('create a customer', async () => {
  const call = await create();
  const made = must(call);
  assert.equal(call.response.status, 201);
  assert.equal(call.response.headers.get('Location'), `/v1/customers/${made.id}`);
  assert.ok(!JSON.stringify(made).includes(phone), 'the phone is masked');
  return made;
});

await step('the same key gives the first answer again', async () => {
  const call = await create();
  assert.equal(must(call).id, customer.id);
  assert.equal(call.response.headers.get('Idempotency-Replayed'), 'true');
});

await step('read it, and not again while it is unchanged', async () => {
  const path = { id: customer.id };
  const first = await api.GET('/v1/customers/{id}', { params: { path } });
  assert.equal(must(first).id, customer.id);
  const etag = first.response.headers.get('ETag');
  assert.ok(etag);
  const second = await api.GET('/v1/customers/{id}', { params: { path, header: { 'If-None-Match': etag } } });
  assert.equal(second.response.status, 304);
});

await step('change it', async () => {
  const changed = must(await api.PATCH('/v1/customers/{id}', { params: { path: { id: customer.id } }, body: { language: 'zh-CN' } }));
  assert.equal(changed.language, 'zh-CN');
});

await step('change it as a merge patch, by POST', async () => {
  const response = await fetch(`${baseUrl}/v1/customers/${customer.id}`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${accessToken}`,
      'Content-Type': 'application/merge-patch+json',
      'X-HTTP-Method-Override': 'PATCH',
    },
    body: JSON.stringify({ language: 'en' }),
  });
  assert.equal(response.status, 200, await response.clone().text());
});

await step('profile', async () => {
  const profile = must(await api.GET('/v1/customers/{id}/profile', { params: { path: { id: customer.id } } }));
  assert.ok(JSON.stringify(profile).includes(customer.id));
});

await step('search by the last four digits', async () => {
  const page = must(await api.POST('/v1/customers/search', { body: { phone_last4: phone.slice(-4) } }));
  assert.ok(page.items.some((item) => item.id === customer.id));
});

await step('search by a fragment of the name', async () => {
  const page = must(await api.POST('/v1/customers/search', { body: { name: '晓明', phone } }));
  assert.deepEqual(page.items.map((item) => item.id), [customer.id]);
});

await step('a problem is typed', async () => {
  const { error, response } = await api.GET('/v1/customers/{id}', { params: { path: { id: '00000000-0000-7000-8000-000000000000' } } });
  assert.ok(error);
  const problem: Problem = error;
  assert.equal(response.status, 404);
  assert.equal(problem.code, 'customers.not_found');
  assert.equal(response.headers.get('Content-Type')?.split(';')[0], 'application/problem+json');
});

await step('a faulty field is pointed at', async () => {
  const { error, response } = await api.POST('/v1/customers', { body: { name: '李', nickname: 'x' } });
  assert.equal(response.status, 422);
  assert.deepEqual(error?.errors?.map((e) => [e.pointer, e.code]), [['/nickname', 'request.unknown_field']]);
});

await step('archive it', async () => {
  must(await api.POST('/v1/customers/{id}/archive', { params: { path: { id: customer.id } } }));
});

await step('refresh', async () => {
  const pair = must(await api.POST('/v1/auth/refresh', { body: { refresh_token: session } }));
  assert.notEqual(pair.refresh_token, session);
  accessToken = pair.access_token;
  must(await api.GET('/v1/me/staff'));
});

await step('sign out', async () => {
  const { error } = await api.POST('/v1/auth/logout');
  assert.equal(error, undefined);
  const after = await api.GET('/v1/me/staff');
  assert.equal(after.response.status, 401);
  assert.ok(after.error?.code);
});

// Members sign in with codes that a phone would bring; stand-ins make them.
const fakes = process.env['SHUKE_FAKES_URL'];
if (fakes) {
  await step('sign in as a member', async () => {
    accessToken = '';
    const answer = await fetch(`${fakes}/_control/wechat/codes`, { method: 'POST', body: JSON.stringify({ openid: `smoke-${randomUUID()}` }) });
    const { code } = (await answer.json()) as { code: string };
    const device_id = randomUUID();
    const without = await api.POST('/v1/member/auth/wechat-mini', { body: { code, device_id } });
    assert.equal(without.error?.code, 'member.consent_needed');
    const { texts } = must(await api.GET('/v1/member/consent-texts'));
    const terms = texts.find((text) => text.purpose === 'terms');
    assert.ok(terms);
    // The same code again: the service has not spent it twice.
    const tokens = must(await api.POST('/v1/member/auth/wechat-mini', { body: { code, device_id, consent: { text_version: terms.version } } }));
    assert.equal(tokens.new_member, true);
    accessToken = tokens.access_token;
    const profile = must(await api.PATCH('/v1/member/profile', { body: { name: '李晓明' } }));
    assert.equal(profile.name, '李晓明');
    assert.equal(profile.id, tokens.customer_id);
  });

  await step('a member is kept to their own side', async () => {
    const staffSide = await api.GET('/v1/customers');
    assert.equal(staffSide.response.status, 403);
    const { error } = await api.DELETE('/v1/member/auth/sessions');
    assert.equal(error, undefined);
    assert.equal((await api.GET('/v1/member/profile')).response.status, 401);
  });
}

console.log(`${done} passed, 0 failed`);
