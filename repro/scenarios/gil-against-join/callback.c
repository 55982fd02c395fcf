#include <pthread.h>
#include <stddef.h>

static void *run(void *callback)
{
    ((void (*)(void))callback)(); /* never returns: Python code needs the GIL */
    return NULL;
}

void run_and_join(void (*callback)(void))
{
    pthread_t thread;
    pthread_create(&thread, NULL, run, (void *)callback);
    pthread_join(thread, NULL); /* never returns, and keeps the GIL */
}
