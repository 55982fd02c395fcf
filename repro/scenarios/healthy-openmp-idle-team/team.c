/* Parallel regions with long pauses between them. */
#include <time.h>

double work(int regions) {
    struct timespec pause = {2, 0};
    double sum = 0;
    for (int region = 0; region < regions; region++) {
#pragma omp parallel for num_threads(4) reduction(+ : sum)
        for (int i = 0; i < 1000; i++)
            sum += i;
        nanosleep(&pause, 0);
    }
    return sum;
}
