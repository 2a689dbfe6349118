//go:build amd64

#include "textflag.h"

// Four rounds of one lane, with the constants at 16*j of AX. abef and cdgh are its
// halves of the state, and change places in meaning twice.
#define ROUNDS(j, m, abef, cdgh) \
	MOVOU 16*j(AX), X0; \
	PADDD m, X0; \
	SHA256RNDS2 X0, abef, cdgh; \
	PSHUFD $0x0e, X0, X0; \
	SHA256RNDS2 X0, cdgh, abef

// The next four words of the message, in their byte order.
#define LOAD(at, p, m) \
	MOVOU at(p), m; \
	PSHUFB X14, m

// The four words behind cur: next holds those of sixteen rounds ago with their first
// half of the schedule added.
#define EXPAND(prev, cur, next, tmp) \
	MOVO cur, tmp; \
	PALIGNR $4, prev, tmp; \
	PADDD tmp, next; \
	SHA256MSG2 cur, next

// func blocks(a, b *[8]uint32, pa, pb *byte, n int)
//
// X0 is what the rounds take implicitly. Lane a has its state in X1 and X2 and its
// message in X3 to X6, lane b in X7 and X8, and X9 to X12. The rounds of one lane wait
// for each other; between them there is time for those of the other.
TEXT ·blocks(SB), NOSPLIT, $64-40
	MOVQ a+0(FP), DI
	MOVQ b+8(FP), SI
	MOVQ pa+16(FP), R8
	MOVQ pb+24(FP), R9
	MOVQ n+32(FP), CX
	LEAQ ·constants(SB), AX
	MOVOU ·swap(SB), X14
	MOVOU 0(DI), X1
	MOVOU 16(DI), X2
	MOVOU 0(SI), X7
	MOVOU 16(SI), X8
	TESTQ CX, CX
	JZ done

block:
	MOVOU X1, 0(SP)
	MOVOU X2, 16(SP)
	MOVOU X7, 32(SP)
	MOVOU X8, 48(SP)

	LOAD(0, R8, X3)
	LOAD(0, R9, X9)
	ROUNDS(0, X3, X1, X2)
	ROUNDS(0, X9, X7, X8)
	LOAD(16, R8, X4)
	LOAD(16, R9, X10)
	ROUNDS(1, X4, X1, X2)
	SHA256MSG1 X4, X3
	ROUNDS(1, X10, X7, X8)
	SHA256MSG1 X10, X9
	LOAD(32, R8, X5)
	LOAD(32, R9, X11)
	ROUNDS(2, X5, X1, X2)
	SHA256MSG1 X5, X4
	ROUNDS(2, X11, X7, X8)
	SHA256MSG1 X11, X10
	LOAD(48, R8, X6)
	LOAD(48, R9, X12)
	ROUNDS(3, X6, X1, X2)
	EXPAND(X5, X6, X3, X13)
	SHA256MSG1 X6, X5
	ROUNDS(3, X12, X7, X8)
	EXPAND(X11, X12, X9, X15)
	SHA256MSG1 X12, X11
	ROUNDS(4, X3, X1, X2)
	EXPAND(X6, X3, X4, X13)
	SHA256MSG1 X3, X6
	ROUNDS(4, X9, X7, X8)
	EXPAND(X12, X9, X10, X15)
	SHA256MSG1 X9, X12
	ROUNDS(5, X4, X1, X2)
	EXPAND(X3, X4, X5, X13)
	SHA256MSG1 X4, X3
	ROUNDS(5, X10, X7, X8)
	EXPAND(X9, X10, X11, X15)
	SHA256MSG1 X10, X9
	ROUNDS(6, X5, X1, X2)
	EXPAND(X4, X5, X6, X13)
	SHA256MSG1 X5, X4
	ROUNDS(6, X11, X7, X8)
	EXPAND(X10, X11, X12, X15)
	SHA256MSG1 X11, X10
	ROUNDS(7, X6, X1, X2)
	EXPAND(X5, X6, X3, X13)
	SHA256MSG1 X6, X5
	ROUNDS(7, X12, X7, X8)
	EXPAND(X11, X12, X9, X15)
	SHA256MSG1 X12, X11
	ROUNDS(8, X3, X1, X2)
	EXPAND(X6, X3, X4, X13)
	SHA256MSG1 X3, X6
	ROUNDS(8, X9, X7, X8)
	EXPAND(X12, X9, X10, X15)
	SHA256MSG1 X9, X12
	ROUNDS(9, X4, X1, X2)
	EXPAND(X3, X4, X5, X13)
	SHA256MSG1 X4, X3
	ROUNDS(9, X10, X7, X8)
	EXPAND(X9, X10, X11, X15)
	SHA256MSG1 X10, X9
	ROUNDS(10, X5, X1, X2)
	EXPAND(X4, X5, X6, X13)
	SHA256MSG1 X5, X4
	ROUNDS(10, X11, X7, X8)
	EXPAND(X10, X11, X12, X15)
	SHA256MSG1 X11, X10
	ROUNDS(11, X6, X1, X2)
	EXPAND(X5, X6, X3, X13)
	SHA256MSG1 X6, X5
	ROUNDS(11, X12, X7, X8)
	EXPAND(X11, X12, X9, X15)
	SHA256MSG1 X12, X11
	ROUNDS(12, X3, X1, X2)
	EXPAND(X6, X3, X4, X13)
	SHA256MSG1 X3, X6
	ROUNDS(12, X9, X7, X8)
	EXPAND(X12, X9, X10, X15)
	SHA256MSG1 X9, X12
	ROUNDS(13, X4, X1, X2)
	EXPAND(X3, X4, X5, X13)
	ROUNDS(13, X10, X7, X8)
	EXPAND(X9, X10, X11, X15)
	ROUNDS(14, X5, X1, X2)
	EXPAND(X4, X5, X6, X13)
	ROUNDS(14, X11, X7, X8)
	EXPAND(X10, X11, X12, X15)
	ROUNDS(15, X6, X1, X2)
	ROUNDS(15, X12, X7, X8)

	MOVOU 0(SP), X13
	PADDD X13, X1
	MOVOU 16(SP), X13
	PADDD X13, X2
	MOVOU 32(SP), X13
	PADDD X13, X7
	MOVOU 48(SP), X13
	PADDD X13, X8

	ADDQ $64, R8
	ADDQ $64, R9
	DECQ CX
	JNZ block

done:
	MOVOU X1, 0(DI)
	MOVOU X2, 16(DI)
	MOVOU X7, 0(SI)
	MOVOU X8, 16(SI)
	RET

// func hasSHA() bool
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JB none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $29, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)
none:
	RET
