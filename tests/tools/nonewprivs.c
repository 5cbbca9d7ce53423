// The program of the nonewprivs image: set-user-id root, it tells as whom it runs. Upstream's suite compares the words.
#include <stdio.h>
#include <unistd.h>

int main(void) {
    return printf("Effective uid: %u\n", (unsigned)geteuid()) < 0;
}
