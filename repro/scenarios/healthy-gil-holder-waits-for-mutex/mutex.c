/* A mutex that is held during a sleep, and unlocked before the return to Python. */
#include <pthread.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void hold(int tell, int seconds) {
    struct timespec time = {seconds, 0};
    pthread_mutex_lock(&mutex);
    if (write(tell, "-", 1) == 1)
        nanosleep(&time, NULL);
    pthread_mutex_unlock(&mutex);
}

void take(void) {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
}
