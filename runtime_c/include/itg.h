/* intaglio: the one public header that generated code includes.
 *
 * ITG_ABI is the version of the agreement between generated code, kernels and port. It lives here alone; every
 * generated file checks it with `#if ITG_ABI != N`, so that files of two releases are never mixed unnoticed.
 */
#ifndef ITG_H
#define ITG_H

#define ITG_ABI 1

/* Puts an array on a word boundary, so that kernels may read four bytes at once. */
#define ITG_ALIGN4 __attribute__((aligned(4)))

#endif
