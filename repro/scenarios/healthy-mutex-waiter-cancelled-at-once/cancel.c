/* Two mutexes taken crosswise, until a third thread cancels one of the two in its wait. */
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_t computing;

static void let_go(void *unused) { pthread_mutex_unlock(&second); }

static void *compute(void *unused) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); /* as number crunching asks for */
    pthread_mutex_lock(&second);
    pthread_cleanup_push(let_go, NULL);
    usleep(200000);
    pthread_mutex_lock(&first);
    pthread_mutex_unlock(&first);
    pthread_cleanup_pop(1);
    return NULL;
}

static void *cancel_later(void *unused) {
    sleep(6);
    pthread_cancel(computing);
    return NULL;
}

void run(void) {
    pthread_t canceller;
    pthread_mutex_lock(&first);
    pthread_create(&computing, NULL, compute, NULL);
    pthread_create(&canceller, NULL, cancel_later, NULL);
    usleep(100000);
    pthread_mutex_lock(&second);
    pthread_mutex_unlock(&second);
    pthread_mutex_unlock(&first);
    pthread_join(computing, NULL);
    pthread_join(canceller, NULL);
}
