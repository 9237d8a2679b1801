/* What generated code and kernels ask of the compiler. Whatever is intaglio's begins with itg_ or ITG_; whatever is a
 * model's begins with the model's name: for a model kws, kws_run and KWS_ARENA_BYTES.
 *
 * Nothing has to be defined for it. What may be, for all files of the program alike, on the command line or in a header
 * of your own that ITG_CONFIG names (-DITG_CONFIG='"my_config.h"'):
 *
 *     ITG_ARENA_SECTION    ".dtcm"   the section of every model's arena; KWS_ARENA_SECTION is for kws alone
 *     ITG_WEIGHTS_SECTION  ".ospi"   the section of every model's weights and tables; KWS_WEIGHTS_SECTION is for kws alone
 *     ITG_KERNEL_SECTION   ".itcm"   the section of the kernels' code
 *     KWS_ARENA            shared    kws has no arena but works in your object `union shared shared`, of which a
 *                                    `union kws_arena` is a member; so models that run in turn share memory
 *     KWS_RUN_IN                     kws has no arena but takes it as an argument: kws_run_in(arena, in, out)
 *     ITG_ALIGN(n), ITG_SECTION(name), ITG_KERNEL    for a compiler that is not known here
 *
 * An arena is not initialized. GCC knows that from section names that begin with .bss. or .noinit.; for other names the
 * linker script says (NOLOAD), or the image has its zeros.
 */
#ifndef ITG_H
#define ITG_H

#ifdef ITG_CONFIG
#include ITG_CONFIG
#endif

/* The version of the agreement between generated code, kernels and port. It lives here alone; every generated file
 * checks it, so that files of two releases are never mixed unnoticed. */
#define ITG_ABI 2

#define ITG_PRAGMA(text) _Pragma(#text)

/* In front of an object: it starts at a multiple of n bytes. */
#ifndef ITG_ALIGN
#if defined(__IAR_SYSTEMS_ICC__)
#define ITG_ALIGN(n) ITG_PRAGMA(data_alignment = n)
#elif defined(__GNUC__) || defined(__clang__) /* Arm Compiler 6 as well */
#define ITG_ALIGN(n) __attribute__((aligned(n)))
#elif defined(__cplusplus)
#define ITG_ALIGN(n) alignas(n)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define ITG_ALIGN(n) _Alignas(n)
#else
#error "how does this compiler align an object? Define ITG_ALIGN(n)"
#endif
#endif

/* In front of an object: it lies in a section, e.g. ".dtcm". */
#ifndef ITG_SECTION
#if defined(__IAR_SYSTEMS_ICC__)
#define ITG_SECTION(name) ITG_PRAGMA(location = name)
#elif defined(__GNUC__) || defined(__clang__)
#define ITG_SECTION(name) __attribute__((section(name)))
#endif
#endif

#ifdef ITG_KERNEL_SECTION
#define ITG_KERNEL_PLACE ITG_SECTION(ITG_KERNEL_SECTION)
#else
#define ITG_KERNEL_PLACE
#endif

/* In front of a kernel: of several definitions of one name the linker takes any, for they are equal. */
#ifndef ITG_KERNEL
#if defined(__IAR_SYSTEMS_ICC__)
#define ITG_KERNEL ITG_KERNEL_PLACE __weak
#elif defined(__GNUC__) || defined(__clang__)
#define ITG_KERNEL ITG_KERNEL_PLACE __attribute__((weak))
#else
#define ITG_KERNEL ITG_KERNEL_PLACE /* then a program may have each kernel's file once only */
#endif
#endif

#endif
