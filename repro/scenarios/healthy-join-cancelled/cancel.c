/* A join and a mutex in a circle, until a third thread cancels the joiner. */
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t joiner, joined;

static void let_go(void *unused) { pthread_mutex_unlock(&mutex); }

static void *take(void *unused) {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void *hold_and_join(void *unused) {
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push(let_go, NULL);
    pthread_create(&joined, NULL, take, NULL);
    pthread_join(joined, NULL); /* a cancellation point */
    pthread_cleanup_pop(1);
    return NULL;
}

static void *cancel_later(void *unused) {
    sleep(6);
    pthread_cancel(joiner);
    return NULL;
}

void run(void) {
    pthread_t canceller;
    pthread_create(&joiner, NULL, hold_and_join, NULL);
    pthread_create(&canceller, NULL, cancel_later, NULL);
    pthread_join(joiner, NULL);
    pthread_join(canceller, NULL);
}
