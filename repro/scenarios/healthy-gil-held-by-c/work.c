/* Work that does not know about the interpreter it is called from. */
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void compute(int seconds) {
    double end = now() + seconds;
    while (now() < end) {
    }
}

void rest(int seconds) {
    struct timespec time = {seconds, 0};
    nanosleep(&time, NULL);
}
