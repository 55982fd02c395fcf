#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

static void *load(void *unused)
{
    return dlopen(NULL, RTLD_NOW); /* never returns: the loader is running start() */
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, load, NULL);
    pthread_join(thread, NULL); /* never returns */
}
