#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void changed(void)
{
    pthread_mutex_lock(&lock); /* never returns: update() holds it */
    pthread_mutex_unlock(&lock);
}

void update(void)
{
    pthread_mutex_lock(&lock);
    changed();
    pthread_mutex_unlock(&lock);
}
