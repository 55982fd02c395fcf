/* A process in the address space of another, with the thread data of one of its threads. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t held_here = PTHREAD_MUTEX_INITIALIZER, held_there = PTHREAD_MUTEX_INITIALIZER;
static char stack[65536] __attribute__((aligned(16)));
static volatile pid_t helper;
static volatile int has_it;

static int hold(void *unused) {
    struct timespec six_seconds = {6, 0};
    (void)unused;
    pthread_mutex_lock(&held_there); /* the owner field gets the id of the thread whose data this is */
    __atomic_store_n(&has_it, 1, __ATOMIC_RELEASE);
    syscall(SYS_nanosleep, &six_seconds, NULL);
    pthread_mutex_unlock(&held_there);
    return 0;
}

static void *start_helper(void *unused) {
    helper = clone(hold, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    if (helper < 0)
        has_it = 1;
    pthread_mutex_lock(&held_here);
    pthread_mutex_unlock(&held_here);
    return unused;
}

void run(void) {
    pthread_t thread;
    pthread_mutex_lock(&held_here);
    pthread_create(&thread, NULL, start_helper, NULL);
    while (!__atomic_load_n(&has_it, __ATOMIC_ACQUIRE))
        usleep(1000);
    pthread_mutex_lock(&held_there);
    if (helper > 0)
        waitpid(helper, NULL, 0);
    pthread_mutex_unlock(&held_here);
    pthread_join(thread, NULL);
    pthread_mutex_unlock(&held_there);
}
