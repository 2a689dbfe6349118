package child

import "golang.org/x/sys/unix"

// auditArch is this machine in the kernel's words (linux/audit.h).
const auditArch = unix.AUDIT_ARCH_X86_64
