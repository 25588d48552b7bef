//go:build unix && !linux

package embedded

import "syscall"

// childAttributes: without a death signal, a child that outlives a killed service
// is found and stopped by the next start.
func childAttributes(a *account, _ syscall.Signal) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attributes.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attributes
}
