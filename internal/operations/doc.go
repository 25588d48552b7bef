// Package operations answers for long work and for the audit log: what runs,
// how far it is, who asked for it, and who did what.
//
// It owns no table. Jobs are written by platform/jobs, audit entries by
// platform/audit; this package decides who may see and stop them. It writes one
// column of another's table: the rotation of keys rewraps customers.data_key
// (keys.go), which changes nothing that customers reads.
//
//   - everybody sees and may cancel the jobs they asked for;
//   - jobs.read shows everybody's, jobs.manage cancels everybody's;
//   - audit.read shows entries of the caller's stores, with scope all every entry.
//
// Emits no events.
package operations
