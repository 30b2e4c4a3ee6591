/* Putting a program at a place, all at once. */
#ifndef KIP_COPY_H
#define KIP_COPY_H

/*
 * Copy the file at `from` to `to`, executable by everyone. The copy is made beside its place and then renamed
 * into it, so that a half-written one never has its name and one that is running may be replaced.
 * Gives the process's exit code; what went wrong has been said.
 */
int copy_program(const char *from, const char *to);

#endif
