/* Two mutexes and a barrier, to cross them for sure. */
#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t mutex[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static pthread_barrier_t both;

void make(void) { pthread_barrier_init(&both, NULL, 2); }

void cross(int mine) {
    pthread_mutex_lock(&mutex[mine]);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&mutex[1 - mine]);
}
