/* Remembers what a power cut would take away: every write below POWERCUT_DIR that no fsync has
 * followed. Preloaded into a gateway; `power_cut.py` undoes the remembered writes after a SIGKILL.
 *
 * Journal, one record after the other, native byte order:
 *   'W' length of path, path, offset, length of new bytes, size of the file before,
 *       number of old bytes, old bytes
 *   'T' length of path, path, new size, size before, number of old bytes cut off, old bytes
 *   'S' length of path, path                      everything written to it so far is on the disk
 * Making, renaming and deleting files count as durable: that is a journalling file system's part.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char folder[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("POWERCUT_JOURNAL"), *dir = getenv("POWERCUT_DIR");
  if (file == NULL || dir == NULL || realpath(dir, folder) == NULL) return;
  journal = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  size_t length = strlen(folder);
  /* Shared memory of SQLite is made anew after a power cut. */
  if (n > 4 && strcmp(path + n - 4, "-shm") == 0) return 0;
  return journal >= 0 && fd != journal && strncmp(path, folder, length) == 0 && path[length] == '/';
}

static void put(const void *bytes, size_t n) {
  const char *at = bytes;
  while (n > 0) {
    ssize_t done = syscall(SYS_write, journal, at, n);
    if (done <= 0) return;
    at += done;
    n -= (size_t)done;
  }
}

static void put_number(int64_t number) { put(&number, sizeof number); }

static void head(char kind, const char *path) {
  put(&kind, 1);
  put_number((int64_t)strlen(path));
  put(path, strlen(path));
}

static void put_old(int fd, int64_t offset, int64_t length) {
  char *old = malloc(length > 0 ? (size_t)length : 1);
  int64_t n = 0;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  if (reader >= 0 && length > 0) {
    ssize_t got = syscall(SYS_pread64, reader, old, (size_t)length, offset);
    n = got > 0 ? got : 0;
  }
  if (reader >= 0) syscall(SYS_close, reader);
  put_number(n);
  put(old, (size_t)n);
  free(old);
}

static int64_t size_of(int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 ? (int64_t)about.st_size : 0;
}

static ssize_t written(int fd, const void *bytes, size_t n, int64_t offset, int at_offset) {
  char path[PATH_MAX];
  if (!path_of(fd, path))
    return at_offset ? syscall(SYS_pwrite64, fd, bytes, n, offset) : syscall(SYS_write, fd, bytes, n);
  pthread_mutex_lock(&lock);
  if (!at_offset) {
    int flags = fcntl(fd, F_GETFL);
    offset = flags & O_APPEND ? size_of(fd) : (int64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
  }
  head('W', path);
  put_number(offset);
  put_number((int64_t)n);
  put_number(size_of(fd));
  put_old(fd, offset, (int64_t)n);
  ssize_t done = at_offset ? syscall(SYS_pwrite64, fd, bytes, n, offset) : syscall(SYS_write, fd, bytes, n);
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t write(int fd, const void *bytes, size_t n) { return written(fd, bytes, n, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return written(fd, bytes, n, at, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) { return written(fd, bytes, n, at, 1); }

static int cut(int fd, int64_t size) {
  char path[PATH_MAX];
  if (!path_of(fd, path)) return (int)syscall(SYS_ftruncate, fd, size);
  pthread_mutex_lock(&lock);
  int64_t before = size_of(fd);
  head('T', path);
  put_number(size);
  put_number(before);
  put_old(fd, size, before > size ? before - size : 0);
  int done = (int)syscall(SYS_ftruncate, fd, size);
  pthread_mutex_unlock(&lock);
  return done;
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

static int synced(int fd, long call) {
  char path[PATH_MAX];
  int ours = path_of(fd, path);
  if (ours) pthread_mutex_lock(&lock);
  int done = (int)syscall(call, fd);
  if (ours) {
    if (done == 0) head('S', path);
    pthread_mutex_unlock(&lock);
  }
  return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
