/* A mutex that is locked here and unlocked there. */
#include <pthread.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void lock(void) { pthread_mutex_lock(&mutex); }

void unlock_after(int seconds) {
    struct timespec time = {seconds, 0};
    nanosleep(&time, NULL);
    pthread_mutex_unlock(&mutex);
}
