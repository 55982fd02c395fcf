/* A semaphore that is posted by a thread which does not exist yet. */
#include <semaphore.h>
#include <signal.h>
#include <time.h>

static sem_t posted;

static void post(union sigval value) {
    (void)value;
    sem_post(&posted);
}

void wait_for_timer(int seconds) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = post};
    struct itimerspec expiry = {.it_value.tv_sec = seconds};
    timer_t timer;
    sem_init(&posted, 0, 0);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &expiry, NULL);
    while (sem_wait(&posted) != 0) {
    }
}
