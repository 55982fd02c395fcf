/* A plain mutex used as a semaphore. */
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t done = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *unused) {
    sleep(6);
    pthread_mutex_unlock(&done);
    return unused;
}

void run(void) {
    pthread_t thread;
    pthread_mutex_lock(&done);
    pthread_create(&thread, NULL, work, NULL);
    pthread_mutex_lock(&done); /* until it is done */
    pthread_join(thread, NULL);
    pthread_mutex_unlock(&done);
}
