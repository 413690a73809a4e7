/* Stands between a process and libc: counts the calls that change files below one directory, and at
 * a chosen call kills the process or makes the call fail. Preloaded; armed by shim_arm. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, WRITE, FSYNC, RENAME, LINK, UNLINK, MKDIR, RMDIR, CLOSE, FTRUNCATE, FLOCK, CHMOD, KINDS };
enum { OUTSIDE = -1, COUNT, KILL_BEFORE, KILL_AFTER, KILL_HALFWAY, FAIL_ONCE, FAIL_ON };

static const char *const names[KINDS] = {"open", "write", "fsync", "rename", "link", "unlink", "mkdir",
                                         "rmdir", "close", "ftruncate", "flock", "chmod"};
static char watched[PATH_MAX];
static size_t watched_length;
static pid_t armed;
static int plan_kind, plan_action, plan_errno, halved, trace = -1;
static long plan_at, total, counts[KINDS];

/* Begins to count anew. kind: an index of `names`, or -1 for calls of all kinds together; at: the
 * number of the call, from 1; trace_fd: where each call is told, or -1. */
void shim_arm(const char *directory, int kind, long at, int action, int error, int trace_fd) {
    watched_length = strlen(directory);
    memcpy(watched, directory, watched_length + 1);
    memset(counts, 0, sizeof counts);
    total = 0;
    halved = 0;
    plan_kind = kind;
    plan_at = at;
    plan_action = action;
    plan_errno = error;
    trace = trace_fd;
    armed = getpid();
}

void shim_disarm(void) { armed = 0; }

void shim_counts(long *out) { memcpy(out, counts, sizeof counts); }

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
#define REAL(name)                         \
    static __typeof__(&name) call;         \
    if (!call) call = (__typeof__(&name))real(#name)

static void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) syscall(SYS_pause);
}

static int below(const char *path) {
    return !strncmp(path, watched, watched_length) &&
           (path[watched_length] == '/' || path[watched_length] == 0);
}

static int path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

/* Says what is to happen to a call: COUNT lets it pass. OUTSIDE: it is none of those watched. */
static int verdict(int kind, const char *path) {
    long one = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    long any = __atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
    long at = plan_kind < 0 ? any : one;
    int is_kind = plan_kind < 0 || plan_kind == kind;
    int hit = is_kind && plan_at > 0 && (plan_action == FAIL_ON ? at >= plan_at : at == plan_at);
    if (trace >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%s%s %s\n", hit && plan_action != COUNT ? "!" : "",
                              names[kind], path);
        syscall(SYS_write, trace, line, (size_t)length);
    }
    if (!hit) return COUNT;
    if (plan_action == KILL_BEFORE) die();
    return plan_action;
}

static int on_path(int kind, int directory, const char *path) {
    if (armed != getpid() || !path) return OUTSIDE;
    char full[2 * PATH_MAX];
    if (path[0] == '/') {
        snprintf(full, sizeof full, "%s", path);
    } else {
        char base[PATH_MAX];
        if (directory == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(directory, base)) return OUTSIDE;
        snprintf(full, sizeof full, "%s/%s", base, path);
    }
    return below(full) ? verdict(kind, full) : OUTSIDE;
}

static int on_descriptor(int kind, int descriptor) {
    char path[PATH_MAX];
    if (armed != getpid() || !path_of(descriptor, path) || !below(path)) return OUTSIDE;
    return verdict(kind, path);
}

#define FAILS(action) ((action) == FAIL_ONCE || (action) == FAIL_ON)
#define KILLS(action) ((action) == KILL_AFTER || (action) == KILL_HALFWAY)
/* The rest of a wrapper: fail, or call, and die after it if that is planned. */
#define FINISH(action, expression)       \
    do {                                 \
        if (FAILS(action)) {             \
            errno = plan_errno;          \
            return -1;                   \
        }                                \
        __typeof__(expression) result = (expression); \
        if (KILLS(action)) die();        \
        return result;                   \
    } while (0)

#define MODE_OF(flags)                                   \
    mode_t mode = 0;                                     \
    if ((flags) & (O_CREAT | O_TMPFILE)) {               \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode = va_arg(rest, mode_t);                     \
        va_end(rest);                                    \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    REAL(open);
    int action = on_path(OPEN, AT_FDCWD, path);
    FINISH(action, call(path, flags, mode));
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    REAL(open64);
    int action = on_path(OPEN, AT_FDCWD, path);
    FINISH(action, call(path, flags, mode));
}

int openat(int directory, const char *path, int flags, ...) {
    MODE_OF(flags)
    REAL(openat);
    int action = on_path(OPEN, directory, path);
    FINISH(action, call(directory, path, flags, mode));
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE_OF(flags)
    REAL(openat64);
    int action = on_path(OPEN, directory, path);
    FINISH(action, call(directory, path, flags, mode));
}

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* A write that finds the disk full writes its first half, as the kernel does, and fails when it is
 * tried again; one that is cut by death has written its first half too. */
static ssize_t partly(int action, int descriptor, const void *bytes, size_t size, off_t place) {
    int fills = FAILS(action) && !halved && (plan_errno == ENOSPC || plan_errno == EDQUOT);
    if (size > 1 && (fills || action == KILL_HALFWAY)) {
        ssize_t half = place < 0 ? syscall(SYS_write, descriptor, bytes, size / 2)
                                 : syscall(SYS_pwrite64, descriptor, bytes, size / 2, place);
        if (action == KILL_HALFWAY) die();
        halved = 1;
        return half;
    }
    if (plan_action == FAIL_ONCE) halved = 0;
    errno = plan_errno;
    return -1;
}

#define IS_PARTIAL(action) \
    (FAILS(action) || (action) == KILL_HALFWAY || (halved && (action) != OUTSIDE))

ssize_t write(int descriptor, const void *bytes, size_t size) {
    REAL(write);
    int action = on_descriptor(WRITE, descriptor);
    if (IS_PARTIAL(action)) return partly(action, descriptor, bytes, size, -1);
    FINISH(action, call(descriptor, bytes, size));
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t place) {
    REAL(pwrite);
    int action = on_descriptor(WRITE, descriptor);
    if (IS_PARTIAL(action))
        return partly(action, descriptor, bytes, size, place);
    FINISH(action, call(descriptor, bytes, size, place));
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t place) {
    return pwrite(descriptor, bytes, size, place);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    REAL(writev);
    int action = on_descriptor(WRITE, descriptor);
    if (IS_PARTIAL(action) && number > 0)
        return partly(action, descriptor, parts[0].iov_base, parts[0].iov_len, -1);
    FINISH(action, call(descriptor, parts, number));
}

ssize_t sendfile(int out, int in, off_t *place, size_t size) {
    ssize_t (*call)(int, int, off_t *, size_t) = real("sendfile");
    int action = on_descriptor(WRITE, out);
    FINISH(action, call(out, in, place, size));
}

ssize_t sendfile64(int out, int in, off64_t *place, size_t size) { return sendfile(out, in, place, size); }

#define ON_DESCRIPTOR(name, kind, parameters, ...) \
    int name parameters {                          \
        REAL(name);                                \
        int action = on_descriptor(kind, fd);      \
        FINISH(action, call(__VA_ARGS__));         \
    }
ON_DESCRIPTOR(fsync, FSYNC, (int fd), fd)
ON_DESCRIPTOR(fdatasync, FSYNC, (int fd), fd)
ON_DESCRIPTOR(ftruncate, FTRUNCATE, (int fd, off_t size), fd, size)
ON_DESCRIPTOR(ftruncate64, FTRUNCATE, (int fd, off64_t size), fd, size)
ON_DESCRIPTOR(flock, FLOCK, (int fd, int operation), fd, operation)
ON_DESCRIPTOR(fchmod, CHMOD, (int fd, mode_t mode), fd, mode)

/* A close that fails has closed the descriptor all the same, as on Linux. What was only read has
 * nothing left that could fail. */
int close(int descriptor) {
    REAL(close);
    int is_read = (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDONLY;
    int action = is_read ? OUTSIDE : on_descriptor(CLOSE, descriptor);
    int result = call(descriptor);
    if (KILLS(action)) die();
    if (FAILS(action)) {
        errno = plan_errno;
        return -1;
    }
    return result;
}

#define ON_PATH(name, kind, directory, path, parameters, ...) \
    int name parameters {                                     \
        REAL(name);                                           \
        int action = on_path(kind, directory, path);          \
        FINISH(action, call(__VA_ARGS__));                    \
    }
ON_PATH(rename, RENAME, AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_PATH(renameat, RENAME, there, to, (int here, const char *from, int there, const char *to), here, from, there, to)
ON_PATH(renameat2, RENAME, there, to, (int here, const char *from, int there, const char *to, unsigned flags), here, from, there, to, flags)
ON_PATH(link, LINK, AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_PATH(linkat, LINK, there, to, (int here, const char *from, int there, const char *to, int flags), here, from, there, to, flags)
ON_PATH(unlink, UNLINK, AT_FDCWD, path, (const char *path), path)
ON_PATH(unlinkat, UNLINK, directory, path, (int directory, const char *path, int flags), directory, path, flags)
ON_PATH(rmdir, RMDIR, AT_FDCWD, path, (const char *path), path)
ON_PATH(mkdir, MKDIR, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
ON_PATH(mkdirat, MKDIR, directory, path, (int directory, const char *path, mode_t mode), directory, path, mode)
ON_PATH(chmod, CHMOD, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
ON_PATH(fchmodat, CHMOD, directory, path, (int directory, const char *path, mode_t mode, int flags), directory, path, mode, flags)

/* libc writes a stream's buffer by its own write: NumPy's streams get one that comes by here. */
static ssize_t stream_read(void *cookie, char *bytes, size_t size) { return read((int)(long)cookie, bytes, size); }
static ssize_t stream_write(void *cookie, const char *bytes, size_t size) {
    ssize_t written = write((int)(long)cookie, bytes, size);
    return written < 0 ? 0 : written;
}
static int stream_seek(void *cookie, off64_t *place, int whence) {
    off64_t reached = lseek64((int)(long)cookie, *place, whence);
    if (reached < 0) return -1;
    *place = reached;
    return 0;
}
static int stream_close(void *cookie) { return close((int)(long)cookie); }

FILE *fdopen(int descriptor, const char *mode) {
    FILE *(*call)(int, const char *) = real("fdopen");
    char path[PATH_MAX];
    if (armed != getpid() || !path_of(descriptor, path) || !below(path)) return call(descriptor, mode);
    cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    return fopencookie((void *)(long)descriptor, mode, functions);
}
