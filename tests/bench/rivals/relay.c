/* Measures the least that delivery can cost, with a relay in C that does nothing else.
 *
 * It takes every request for a stream whose path ends with a job's id, subscribes to all channels of jobs in Redis with
 * one connection, and writes each event to the sockets of its job. No authorization, no log, no limits, no keep-alive.
 *
 *     relay PORT REDIS_PORT
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUCKETS = 1 << 16, ID_BYTES = 36, MAX_FDS = 1 << 16, ROOM = 1 << 20, MOST_PARTS = 4 };

struct viewer {
    int fd;
    char id[ID_BYTES + 1];
    struct viewer *next;
};

static struct viewer *viewers[BUCKETS], *by_fd[MAX_FDS];
static int poll_fd;
static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: open\n\n";

static void fail(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned bucket_of(const char *id) {
    unsigned hash = 2166136261u;
    for (int i = 0; i < ID_BYTES; i++) hash = (hash ^ (unsigned char)id[i]) * 16777619u;
    return hash % BUCKETS;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) fail("listen");
    return fd;
}

static int connect_to_redis(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static const char subscribe[] = "*2\r\n$10\r\nPSUBSCRIBE\r\n$17\r\nsuggestion:*:live\r\n";
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("Redis");
    if (write(fd, subscribe, sizeof subscribe - 1) < 0) fail("Redis");
    return fd;
}

static void let_in(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (fd >= MAX_FDS) fail("too many connections");
        watch(fd);
    }
}

static void let_go(int fd) {
    struct viewer *viewer = by_fd[fd];
    if (viewer) {
        struct viewer **link = &viewers[bucket_of(viewer->id)];
        while (*link != viewer) link = &(*link)->next;
        *link = viewer->next;
        free(viewer);
        by_fd[fd] = NULL;
    }
    close(fd);
}

/* The load generator sends a request in one piece, and nothing after it. */
static void take_request(int fd) {
    char request[4096];
    ssize_t length = read(fd, request, sizeof request - 1);
    if (length <= 0) {
        if (length == 0 || errno != EAGAIN) let_go(fd);
        return;
    }
    request[length] = 0;
    char *end = strstr(request, " HTTP/1.1");
    if (by_fd[fd] || !end) return;
    if (end - request < ID_BYTES + 4) { /* the bench asks whether the server is up */
        static const char nothing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        if (write(fd, nothing, sizeof nothing - 1) < 0) return;
        let_go(fd);
        return;
    }
    struct viewer *viewer = calloc(1, sizeof *viewer);
    if (!viewer) fail("memory");
    viewer->fd = fd;
    memcpy(viewer->id, end - ID_BYTES, ID_BYTES);
    unsigned bucket = bucket_of(viewer->id);
    viewer->next = viewers[bucket];
    viewers[bucket] = by_fd[fd] = viewer;
    if (write(fd, HEAD, sizeof HEAD - 1) < 0) let_go(fd);
}

/* Sends one message to viewers: `payload` is "<id> <name> <JSON>", `channel` "suggestion:<job>:live". */
static void deliver(const char *channel, size_t channel_length, char *payload, size_t length) {
    static char event[ROOM];
    if (channel_length < 11 + ID_BYTES) return;
    payload[length] = 0;
    char *name = strchr(payload, ' '), *data = name ? strchr(name + 1, ' ') : NULL;
    if (!data) return;
    *name++ = *data++ = 0;
    int size = snprintf(event, sizeof event, "id: %s\nevent: %s\ndata: %s\n\n", payload, name, data);
    const char *id = channel + 11;
    for (struct viewer *viewer = viewers[bucket_of(id)]; viewer; viewer = viewer->next)
        if (memcmp(viewer->id, id, ID_BYTES) == 0 && write(viewer->fd, event, (size_t)size) != size)
            fprintf(stderr, "relay: a socket is full\n");
}

/* Takes one complete message from the buffer. Returns its length in bytes, or 0 if it is incomplete. */
static size_t take_message(char *buffer, size_t length) {
    char *at = buffer, *end = buffer + length, *parts[MOST_PARTS];
    size_t sizes[MOST_PARTS];
    char *line = memchr(at, '\n', (size_t)(end - at));
    if (!line) return 0;
    long count = strtol(at + 1, NULL, 10);
    at = line + 1;
    for (long i = 0; i < count && i < MOST_PARTS; i++) {
        line = memchr(at, '\n', (size_t)(end - at));
        if (!line) return 0;
        if (*at == ':') { /* the reply to PSUBSCRIBE ends with a number */
            sizes[i] = 0;
            at = line + 1;
            continue;
        }
        sizes[i] = strtoul(at + 1, NULL, 10);
        parts[i] = line + 1;
        if ((size_t)(end - parts[i]) < sizes[i] + 2) return 0;
        at = parts[i] + sizes[i] + 2;
    }
    if (count == MOST_PARTS) deliver(parts[2], sizes[2], parts[3], sizes[3]);
    return (size_t)(at - buffer);
}

static void take_messages(int fd) {
    static char buffer[ROOM + 1];
    static size_t filled;
    ssize_t length = read(fd, buffer + filled, ROOM - filled);
    if (length <= 0) fail("Redis is away");
    filled += (size_t)length;
    size_t done = 0, taken;
    while ((taken = take_message(buffer + done, filled - done))) done += taken;
    memmove(buffer, buffer + done, filled - done);
    filled -= done;
}

int main(int count, char **arguments) {
    if (count != 3) fail("relay PORT REDIS_PORT");
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    poll_fd = epoll_create1(0);
    int listener = listen_on(atoi(arguments[1])), redis = connect_to_redis(atoi(arguments[2]));
    watch(listener);
    watch(redis);
    for (;;) {
        struct epoll_event ready[512];
        int events = epoll_wait(poll_fd, ready, 512, -1);
        for (int i = 0; i < events; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener)
                let_in(fd);
            else if (fd == redis)
                take_messages(fd);
            else
                take_request(fd);
        }
    }
}
