/* What a pod's sandbox runs: it holds the namespaces, reaps orphans when it is process 1 of a shared one, and leaves
 * at once when asked. Never called by hand. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

static void reap(int signal) {
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

int main(void) {
    struct sigaction leaving = {.sa_handler = leave};
    struct sigaction reaping = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    if (sigaction(SIGINT, &leaving, NULL) < 0 || sigaction(SIGTERM, &leaving, NULL) < 0 ||
        sigaction(SIGCHLD, &reaping, NULL) < 0)
        return EXIT_FAILURE;
    for (;;)
        pause();
}
