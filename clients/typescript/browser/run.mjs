// Opens the page beside this file in a real browser, on an origin of its own, and lets it use a running service.
//
//   SHUKE_URL=http://127.0.0.1:8080 SHUKE_PASSWORD=… npm run browser
//
// The service must allow the page's origin: start it with SHUKE_CORS_ORIGINS=http://127.0.0.1:18099 (SHUKE_PAGE_PORT changes the port).
// CHROMIUM names the browser, /usr/bin/chromium (Debian's package chromium) unless set.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const url = process.env.SHUKE_URL ?? 'http://127.0.0.1:8080';
const username = process.env.SHUKE_USERNAME ?? 'admin';
const password = process.env.SHUKE_PASSWORD ?? process.env.SHUKE_ADMIN_PASSWORD;
const port = Number(process.env.SHUKE_PAGE_PORT ?? 18099);
if (!password) throw new Error('SHUKE_PASSWORD is not set');

const files = { '/': ['index.html', 'text/html'], '/app.js': ['app.js', 'text/javascript'] };
const pages = createServer(async (request, response) => {
  const [name, type] = files[request.url] ?? [];
  if (!name) return response.writeHead(404).end();
  response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` }).end(await readFile(new URL(name, import.meta.url)));
});
await new Promise((resolve) => pages.listen(port, '127.0.0.1', resolve));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [], // Chromium's sandbox refuses to run as root
});
let failed = 0;
let passed = 0;
try {
  const page = await browser.newPage();
  page.on('console', (message) => message.type() === 'error' && console.error(`     browser: ${message.text()}`));
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.waitForFunction('window.tryService');
  const steps = await page.evaluate((options) => window.tryService(options), { url, username, password });
  for (const step of steps) {
    console.log(`${step.ok ? 'ok  ' : 'FAIL'} ${step.name}${step.ok ? '' : `: ${step.detail}`}`);
    step.ok ? passed++ : failed++;
  }

  // The documentation page is drawn from the binary alone.
  const docs = await browser.newPage();
  const foreign = [];
  docs.on('request', (request) => request.url().startsWith(url) || request.url().startsWith('data:') || foreign.push(request.url()));
  await docs.goto(`${url}/docs`);
  await docs.waitForSelector('.opblock-tag', { timeout: 20_000 });
  const tags = await docs.locator('.opblock-tag').count();
  const ok = tags > 5 && foreign.length === 0;
  console.log(`${ok ? 'ok  ' : 'FAIL'} /docs shows ${tags} groups of operations and asks no other host ${foreign.join(' ')}`);
  ok ? passed++ : failed++;
  if (process.env.SHUKE_DOCS_SCREENSHOT) await docs.screenshot({ path: process.env.SHUKE_DOCS_SCREENSHOT });
} finally {
  await browser.close();
  pages.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
