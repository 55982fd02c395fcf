/* A thread of the library's own, started and awaited in one call. */
#include <pthread.h>
#include <stddef.h>
#include <time.h>

static void *rest(void *unused) {
    struct timespec six_seconds = {6, 0};
    (void)unused;
    nanosleep(&six_seconds, NULL);
    return NULL;
}

void work_in_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, rest, NULL);
    pthread_join(thread, NULL);
}
