/* One mutex in memory that forked processes share. */
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

static pthread_mutex_t *mutex;

void make(void) {
    pthread_mutexattr_t shared;
    mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &shared);
}

void lock(void) { pthread_mutex_lock(mutex); }

void unlock(void) { pthread_mutex_unlock(mutex); }
