/* A library that calls back from a thread of its own, with what it was given. */
#include <pthread.h>
#include <time.h>

typedef void (*callback)(void *);

static callback called;
static void *data;

static void *later(void *unused) {
    struct timespec time = {4, 0};
    nanosleep(&time, NULL);
    called(data);
    return unused;
}

int call_later(callback whom, void *with) {
    pthread_t thread;
    called = whom;
    data = with;
    return pthread_create(&thread, NULL, later, NULL) || pthread_detach(thread);
}
