/* A process goes on without its first thread. */
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static int writer, has_ended, seconds;

static void *write_later(void *unused) {
    struct pollfd ended = {.fd = has_ended, .events = POLLIN};
    (void)unused;
    if (poll(&ended, 1, seconds * 1000) == 0)
        _exit(write(writer, "answer", 6) != 6);
    _exit(0);
}

/* Does not return: this thread ends, the other one stays. */
void start(int write_to, int lifeline, int after_s) {
    pthread_t thread;
    writer = write_to, has_ended = lifeline, seconds = after_s;
    if (pthread_create(&thread, NULL, write_later, NULL) == 0)
        syscall(SYS_exit, 0);
    _exit(1);
}
