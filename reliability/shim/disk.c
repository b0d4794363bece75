/*
 * Loaded between SQLite and the disk (LD_PRELOAD): records the calls on the files of a database, or
 * lets some of them fail.
 *
 * DISK_SHIM_DATABASE  the path of the database, whose -wal and -shm are included
 * DISK_SHIM_JOURNAL   the file to which the calls are appended, if any
 * DISK_SHIM_CONTROL   the calls that fail, if any: a struct control in shared memory
 *
 * One call at a time: the journal has the order of the calls. A call and its entry are made under a
 * lock (flock) of the journal, so a process with the lock can kill this one between two calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum file { NONE, MAIN, WAL, SHM, ROLLBACK, FOLDER };
enum call { WRITE = 1, SYNC = 2, TRUNCATE = 4 };

struct control {
    volatile uint32_t armed;   /* set last */
    uint32_t calls;            /* bits of enum call */
    uint32_t files;            /* bits 1 << enum file */
    uint32_t after;            /* how many of them succeed before one fails */
    uint32_t error;
    uint32_t permanent;        /* whether all fail from then on */
    uint32_t half;             /* whether the first failing write stores half of its bytes */
    volatile uint32_t failed;  /* how many have failed */
};

#define DESCRIPTORS 4096
static unsigned char files[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static struct control *control;
static const char *database;

static int (*next_open)(const char *, int, ...);
static int (*next_close)(int);
static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_pwrite)(int, const void *, size_t, off64_t);
static int (*next_ftruncate)(int, off64_t);
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);
static int (*next_unlink)(const char *);

__attribute__((constructor)) static void begin(void)
{
    next_open = dlsym(RTLD_NEXT, "open64");
    next_close = dlsym(RTLD_NEXT, "close");
    next_write = dlsym(RTLD_NEXT, "write");
    next_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    next_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    next_unlink = dlsym(RTLD_NEXT, "unlink");
    database = getenv("DISK_SHIM_DATABASE");
    const char *path = getenv("DISK_SHIM_JOURNAL");
    if (database && path)
        journal = next_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    path = getenv("DISK_SHIM_CONTROL");
    if (database && path) {
        int fd = next_open(path, O_RDWR | O_CLOEXEC);
        void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        control = at == MAP_FAILED ? NULL : at;
        next_close(fd);
    }
}

static void enter(void)
{
    pthread_mutex_lock(&lock);
    if (journal >= 0)
        while (flock(journal, LOCK_EX) != 0)
            if (errno != EINTR)
                abort();
}

static void leave(void)
{
    if (journal >= 0)
        flock(journal, LOCK_UN);
    pthread_mutex_unlock(&lock);
}

static enum file file_at(const char *path)
{
    size_t length = database ? strlen(database) : 0;
    if (!length)
        return NONE;
    if (strncmp(path, database, length) == 0) {
        const char *rest = path + length;
        if (!*rest) return MAIN;
        if (!strcmp(rest, "-wal")) return WAL;
        if (!strcmp(rest, "-shm")) return SHM;
        if (!strcmp(rest, "-journal")) return ROLLBACK;
        return NONE;
    }
    size_t folder = strrchr(database, '/') - database;
    return strlen(path) == folder && strncmp(path, database, folder) == 0 ? FOLDER : NONE;
}

static enum file file_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS ? files[fd] : NONE;
}

/* Appends an entry: the call ('C'reate, 'W'rite, 'T'runcate, 'S'ync, 'U'nlink), file and offset. */
static void record(char call, enum file file, uint64_t offset, const void *data, uint32_t length)
{
    if (journal < 0 || file == SHM)
        return;
    unsigned char *entry = malloc(16 + (size_t)length);
    if (!entry)
        abort();
    memset(entry, 0, 16);
    entry[0] = call;
    entry[1] = file;
    memcpy(entry + 4, &length, 4);
    memcpy(entry + 8, &offset, 8);
    if (length)
        memcpy(entry + 16, data, length);
    /* A journal with a gap would prove nothing. */
    if (next_write(journal, entry, 16 + (size_t)length) != 16 + (ssize_t)length)
        abort();
    free(entry);
}

/* The error with which this call has to fail; 0 for none. */
static int failure(enum call call, enum file file)
{
    if (!control || !control->armed || !(control->calls & call)
        || !(control->files & (1u << file)))
        return 0;
    if (control->after > 0) {
        control->after--;
        return 0;
    }
    control->failed++;
    if (!control->permanent && !control->half)
        control->armed = 0;
    return (int)control->error;
}

static int opened(const char *path, int flags, mode_t mode)
{
    enum file file = file_at(path);
    if (file == NONE)
        return next_open(path, flags, mode);
    enter();
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    int fd = next_open(path, flags, mode);
    int error = errno;
    if (fd >= 0) {
        if (fd >= DESCRIPTORS)
            abort();
        files[fd] = file;
        if (is_new)
            record('C', file, 0, NULL, 0);
    }
    leave();
    errno = error;
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened(path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        files[fd] = NONE;
    return next_close(fd);
}

/* An `offset` of -1 stands for the position of the descriptor. */
static ssize_t written(int fd, const void *data, size_t length, off64_t offset)
{
    enum file file = file_of(fd);
    if (file == NONE)
        return offset < 0 ? next_write(fd, data, length) : next_pwrite(fd, data, length, offset);
    enter();
    int error = failure(WRITE, file);
    if (error && control->half && length > 1) {
        control->half = 0;
        length /= 2;
        error = 0;
    }
    ssize_t done = -1;
    if (!error) {
        off64_t at = offset < 0 ? lseek64(fd, 0, SEEK_CUR) : offset;
        done = offset < 0 ? next_write(fd, data, length) : next_pwrite(fd, data, length, offset);
        error = errno;
        if (done > 0)
            record('W', file, (uint64_t)at, data, (uint32_t)done);
    }
    leave();
    errno = error;
    return done;
}

ssize_t write(int fd, const void *data, size_t length)
{
    return written(fd, data, length, -1);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return written(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
    __attribute__((alias("pwrite64")));

/* Makes a call on a file that returns 0 on success, records it, and returns its result. */
#define RECORDED(call, file, letter, offset, expression) \
    do { \
        enter(); \
        int error = failure(call, file); \
        int done = error ? -1 : (expression); \
        error = error ? error : errno; \
        if (done == 0) \
            record(letter, file, offset, NULL, 0); \
        leave(); \
        errno = error; \
        return done; \
    } while (0)

int ftruncate64(int fd, off64_t length)
{
    enum file file = file_of(fd);
    if (file == NONE)
        return next_ftruncate(fd, length);
    RECORDED(TRUNCATE, file, 'T', (uint64_t)length, next_ftruncate(fd, length));
}

int ftruncate(int fd, off_t length) __attribute__((alias("ftruncate64")));

static int synced(int fd, int (*next)(int))
{
    enum file file = file_of(fd);
    if (file == NONE)
        return next(fd);
    RECORDED(SYNC, file, 'S', 0, next(fd));
}

int fsync(int fd)
{
    return synced(fd, next_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, next_fdatasync);
}

int unlink(const char *path)
{
    enum file file = file_at(path);
    if (file == NONE)
        return next_unlink(path);
    RECORDED(0, file, 'U', 0, next_unlink(path));
}
