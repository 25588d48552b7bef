package embedded

import "syscall"

// childAttributes makes the kernel end the child when this process dies, even by kill -9.
func childAttributes(a *account, deathSignal syscall.Signal) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSignal}
	if a != nil {
		attributes.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attributes
}
