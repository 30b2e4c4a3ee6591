/*
 * The entry point and the system call of each architecture the sleeper runs on.
 *
 * The entry point hands the stack, as the kernel leaves it, to start(), with a stack pointer aligned as the
 * calling convention wants it.
 */
#include "system.h"

#if defined(__x86_64__)

long system_call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

__asm__(".text\n"
	".globl _start\n"
	"_start:\n"
	"	xorl %ebp, %ebp\n"
	"	movq %rsp, %rdi\n"
	"	andq $-16, %rsp\n"
	"	call start\n");

#elif defined(__aarch64__)

long system_call(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}

__asm__(".text\n"
	".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	and sp, x0, #-16\n"
	"	bl start\n");

#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)

long system_call(long number, long a, long b, long c, long d, long e)
{
	register long r0 __asm__("r0") = number;
	register long r3 __asm__("r3") = a;
	register long r4 __asm__("r4") = b;
	register long r5 __asm__("r5") = c;
	register long r6 __asm__("r6") = d;
	register long r7 __asm__("r7") = e;

	/* A failure shows as the summary overflow bit, with the error number positive. */
	__asm__ volatile("sc\n\t"
			 "bns+ 1f\n\t"
			 "neg %1, %1\n"
			 "1:"
			 : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
			 :
			 : "memory", "cr0", "ctr", "lr", "r8", "r9", "r10", "r11", "r12");
	return r3;
}

/* ELFv2: the kernel passes the entry address in r12, from which the table of contents (r2) is found. */
__asm__(".text\n"
	".globl _start\n"
	"_start:\n"
	"	addis 2, 12, .TOC.-_start@ha\n"
	"	addi 2, 2, .TOC.-_start@l\n"
	"	mr 3, 1\n"
	"	clrrdi 1, 1, 4\n"
	"	li 0, 0\n"
	"	mtlr 0\n"
	"	stdu 0, -32(1)\n"
	"	bl start\n"
	"	nop\n");

#elif defined(__s390x__)

long system_call(long number, long a, long b, long c, long d, long e)
{
	register long r1 __asm__("r1") = number;
	register long r2 __asm__("r2") = a;
	register long r3 __asm__("r3") = b;
	register long r4 __asm__("r4") = c;
	register long r5 __asm__("r5") = d;
	register long r6 __asm__("r6") = e;

	__asm__ volatile("svc 0" : "+d"(r2) : "d"(r1), "d"(r3), "d"(r4), "d"(r5), "d"(r6) : "memory");
	return r2;
}

__asm__(".text\n"
	".globl _start\n"
	"_start:\n"
	"	lgr %r2, %r15\n"
	"	nill %r15, 0xfff8\n"
	"	aghi %r15, -160\n"
	"	brasl %r14, start\n");

#else
#error "kip's sleeper knows amd64, arm64, ppc64le and s390x"
#endif
