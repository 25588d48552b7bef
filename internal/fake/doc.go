// Package fake has stand-in servers for the services that are not ours:
// WeChat, two SMS providers, an OpenID Connect provider, a mail server, WeChat
// Pay, Alipay, Kuaidi100 and SF Express.
//
// They keep the providers' rules (signatures, one-time codes, expiry, quotas)
// with code of their own, which shares nothing with the adapters they are
// tried with, and they misbehave on command: see Fault and the page at GET /.
//
// Whoever can reach them can sign in as anybody: they listen on this machine
// only, and never beside a service in production.
package fake
