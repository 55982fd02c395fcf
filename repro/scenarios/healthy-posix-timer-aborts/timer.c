/* A semaphore that is posted from the handler of SIGABRT, by a timer of the kernel. */
#include <semaphore.h>
#include <signal.h>
#include <time.h>

static sem_t posted;

static void post(int signal_number) {
    (void)signal_number;
    sem_post(&posted);
}

void run(int seconds) {
    struct sigaction action = {.sa_handler = post}, earlier;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT};
    struct itimerspec expiry = {.it_value.tv_sec = seconds};
    timer_t timer;
    sem_init(&posted, 0, 0);
    sigaction(SIGABRT, &action, &earlier);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &expiry, NULL);
    while (sem_wait(&posted) != 0) { /* interrupted by the handler itself */
    }
    timer_delete(timer);
    sigaction(SIGABRT, &earlier, NULL);
}
