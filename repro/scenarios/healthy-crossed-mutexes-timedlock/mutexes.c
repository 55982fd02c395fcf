/* Two mutexes, to be locked for ever or for a time. */
#include <pthread.h>
#include <time.h>

static pthread_mutex_t mutex[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};

void lock(int which) { pthread_mutex_lock(&mutex[which]); }

void unlock(int which) { pthread_mutex_unlock(&mutex[which]); }

int lock_within(int which, int seconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    return pthread_mutex_timedlock(&mutex[which], &until) == 0;
}
