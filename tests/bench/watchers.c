/* Creates one job for each line of standard input, and watches each to its final event.
 *
 *   watchers PORT PATH TOKEN JOBS_PER_SECOND SECONDS < bodies
 *
 * Gives up after SECONDS. Prints when things arrived, in microseconds since the epoch, or 0 for never:
 *
 *   stream NUMBER JOB POSTED ANSWERED FIRST_BYTE FIRST_DELTA FINAL NAME DELTAS HOLES DUPLICATES
 *   delta NUMBER ARRIVED TOTAL_LENGTH TIMESTAMP_MS
 *   cpu MICROSECONDS
 *
 * HOLES counts deltas that do not continue where the text before them ended; sequence numbers may jump, since the
 * deltas before a viewer joined are sent merged. It is plain C with one thread, so that it never limits a measurement.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 65536, EVENTS = 256, ID_CHARS = 36, NAME_CHARS = 16 };
enum phase { WAITING, POSTED, HEADERS, EVENT_STREAM, OVER };
enum chunk_part { SIZE, DATA, END_OF_DATA };

struct buffer {
    char *bytes;
    size_t length, room;
};

struct watcher {
    enum phase phase;
    int number, socket;
    char *body;
    char job[ID_CHARS + 1], event[NAME_CHARS], final[NAME_CHARS];
    int64_t posted, answered, first_byte, first_delta, ended;
    struct buffer input, line;
    enum chunk_part part;
    size_t chunk_left;
    long attempt, sequence, total_length, deltas, holes, duplicates;
};

struct arrival {
    int number;
    int64_t arrived, timestamp_ms;
    long total_length;
};

static const char *path, *token;
static int port, poller, open_count;
static struct arrival *arrivals;
static size_t arrival_count, arrival_room;

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("watchers: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *grown(void *bytes, size_t size) {
    void *larger = realloc(bytes, size);
    if (!larger) fail("out of memory");
    return larger;
}

static void add(struct buffer *buffer, const char *bytes, size_t length) {
    if (buffer->length + length + 1 > buffer->room) {
        buffer->room = 2 * (buffer->length + length + 1);
        buffer->bytes = grown(buffer->bytes, buffer->room);
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    buffer->bytes[buffer->length] = 0;
}

/* ---- requests ---- */

static void hang_up(struct watcher *watcher) {
    close(watcher->socket);
    watcher->input.length = 0;
}

static void finish(struct watcher *watcher) {
    hang_up(watcher);
    watcher->phase = OVER;
    open_count--;
}

static void send_request(struct watcher *watcher, const char *request, size_t length) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    watcher->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(watcher->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(watcher->socket, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    if (write(watcher->socket, request, length) != (ssize_t)length) fail("write: %s", strerror(errno));
    fcntl(watcher->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = watcher};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, watcher->socket, &interest)) fail("epoll_ctl: %s", strerror(errno));
}

static void post(struct watcher *watcher) {
    char *request;
    int length = asprintf(&request,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          path, port, token, strlen(watcher->body), watcher->body);
    watcher->posted = now_us();
    watcher->phase = POSTED;
    send_request(watcher, request, (size_t)length);
    free(request);
}

static void watch(struct watcher *watcher) {
    char *request;
    int length = asprintf(&request,
                          "GET %s/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
                          "Accept: text/event-stream\r\n\r\n",
                          path, watcher->job, port, token);
    watcher->phase = HEADERS;
    send_request(watcher, request, (size_t)length);
    free(request);
}

/* ---- events ---- */

/* Returns the number of characters of the JSON string at `text`, up to its closing quote. */
static long characters(const char *text) {
    long count = 0;
    for (; *text && *text != '"'; text++) {
        if (*text == '\\') {
            text++;
            if (*text != 'u') {
                count++;
            } else {
                long unit = strtol((char[]){text[1], text[2], text[3], text[4], 0}, NULL, 16);
                count += unit < 0xDC00 || unit > 0xDFFF; /* the second half of a surrogate pair is not counted */
                text += 4;
            }
        } else {
            count += ((unsigned char)*text & 0xC0) != 0x80;
        }
    }
    return count;
}

static void take_delta(struct watcher *watcher, const char *json, int64_t now) {
    const char *text = strstr(json, "\"text\":\""), *total = memrchr(json, ':', strlen(json));
    const char *timestamp = strstr(json, "\"timestamp\":");
    if (!text || !total || !timestamp) fail("a delta of another shape: %s", json);
    long total_length = strtol(total + 1, NULL, 10);
    watcher->holes += total_length != watcher->total_length + characters(text + 8);
    watcher->total_length = total_length;
    watcher->deltas++;
    if (!watcher->first_delta) watcher->first_delta = now;
    if (arrival_count == arrival_room) {
        arrival_room = arrival_room ? 2 * arrival_room : 1024;
        arrivals = grown(arrivals, arrival_room * sizeof *arrivals);
    }
    arrivals[arrival_count++] =
        (struct arrival){watcher->number, now, strtoll(timestamp + 12, NULL, 10), total_length};
}

static void take_id(struct watcher *watcher, const char *id) {
    char *dash;
    long attempt = strtol(id, &dash, 10), sequence = strtol(dash + 1, NULL, 10);
    if (attempt != watcher->attempt) watcher->total_length = 0;
    else if (sequence <= watcher->sequence) watcher->duplicates++;
    watcher->attempt = attempt;
    watcher->sequence = sequence;
}

static void take_line(struct watcher *watcher, const char *line, int64_t now) {
    const char *name = watcher->event;
    if (!strncmp(line, "id: ", 4)) {
        take_id(watcher, line + 4);
    } else if (!strncmp(line, "event: ", 7)) {
        snprintf(watcher->event, NAME_CHARS, "%s", line + 7);
    } else if (!strncmp(line, "data: ", 6) && !strcmp(name, "delta")) {
        take_delta(watcher, line + 6, now);
    } else if (!*line && (!strcmp(name, "complete") || !strcmp(name, "error") || !strcmp(name, "cancelled"))) {
        watcher->ended = now;
        memcpy(watcher->final, name, NAME_CHARS);
    }
}

static void take_text(struct watcher *watcher, const char *bytes, size_t length, int64_t now) {
    for (const char *end; length && (end = memchr(bytes, '\n', length));) {
        size_t line = (size_t)(end - bytes);
        add(&watcher->line, bytes, line);
        take_line(watcher, watcher->line.bytes, now);
        watcher->line.length = 0;
        bytes += line + 1;
        length -= line + 1;
    }
    add(&watcher->line, bytes, length);
}

/* ---- responses ---- */

static void take_chunks(struct watcher *watcher, const char *bytes, size_t length, int64_t now) {
    while (length) {
        if (watcher->part == DATA) {
            size_t taken = length < watcher->chunk_left ? length : watcher->chunk_left;
            take_text(watcher, bytes, taken, now);
            bytes += taken;
            length -= taken;
            watcher->chunk_left -= taken;
            if (!watcher->chunk_left) watcher->part = END_OF_DATA;
            continue;
        }
        char byte = *bytes++;
        length--;
        if (watcher->part == END_OF_DATA) {
            if (byte == '\n') watcher->part = SIZE;
        } else if (byte == '\n') {
            watcher->part = watcher->chunk_left ? DATA : END_OF_DATA;
        } else if (byte != '\r') {
            watcher->chunk_left = watcher->chunk_left * 16 + (size_t)strtol((char[]){byte, 0}, NULL, 16);
        }
    }
}

/* Reads the response to the POST once it is complete, and opens the stream. */
static void take_answer(struct watcher *watcher, int64_t now) {
    char *body = strstr(watcher->input.bytes, "\r\n\r\n"), *length = strcasestr(watcher->input.bytes, "Content-Length:");
    if (!body || !length || strlen(body + 4) < strtoul(length + 15, NULL, 10)) return;
    char *job = strstr(body, "\"jobId\"");
    if (strncmp(watcher->input.bytes + 8, " 20", 3) || !job) fail("not created: %s", watcher->input.bytes);
    job = strchr(job + 7, '"') + 1;
    memcpy(watcher->job, job, ID_CHARS);
    watcher->answered = now;
    hang_up(watcher);
    watch(watcher);
}

static void take_headers(struct watcher *watcher, int64_t now) {
    if (!watcher->first_byte) watcher->first_byte = now;
    char *end = strstr(watcher->input.bytes, "\r\n\r\n");
    if (!end) return;
    if (strncmp(watcher->input.bytes + 8, " 200", 4)) fail("no stream: %s", watcher->input.bytes);
    if (!strcasestr(watcher->input.bytes, "chunked")) fail("not chunked: %s", watcher->input.bytes);
    watcher->phase = EVENT_STREAM;
    size_t head = (size_t)(end + 4 - watcher->input.bytes);
    take_chunks(watcher, end + 4, watcher->input.length - head, now);
}

static void read_from(struct watcher *watcher) {
    static char bytes[READ_BYTES];
    ssize_t length = read(watcher->socket, bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) { /* the stream has ended without a final event */
        finish(watcher);
        return;
    }
    int64_t now = now_us();
    if (watcher->phase == EVENT_STREAM) {
        take_chunks(watcher, bytes, (size_t)length, now);
    } else {
        add(&watcher->input, bytes, (size_t)length);
        (watcher->phase == POSTED ? take_answer : take_headers)(watcher, now);
    }
    if (watcher->ended) finish(watcher);
}

/* ---- the run ---- */

static struct watcher *read_bodies(int *count) {
    struct watcher *watchers = NULL;
    char *line = NULL;
    size_t room = 0;
    *count = 0;
    for (ssize_t length; (length = getline(&line, &room, stdin)) > 0; (*count)++) {
        watchers = grown(watchers, (size_t)(*count + 1) * sizeof *watchers);
        line[strcspn(line, "\n")] = 0;
        watchers[*count] = (struct watcher){.number = *count, .body = strdup(line), .final = "-"};
    }
    free(line);
    return watchers;
}

static void run(struct watcher *watchers, int count, double per_second, double seconds) {
    int64_t began = now_us(), deadline = began + (int64_t)(seconds * 1e6);
    struct epoll_event events[EVENTS];
    for (int posted = 0; open_count && now_us() < deadline;) {
        int64_t due = began + (int64_t)(posted / per_second * 1e6), left = due - now_us();
        if (posted < count && left <= 0) {
            post(&watchers[posted++]);
            left = 0;
        }
        int wait_ms = posted == count || left > 100000 ? 100 : (int)(left / 1000);
        int ready = epoll_wait(poller, events, EVENTS, wait_ms);
        for (int i = 0; i < ready; i++) read_from(events[i].data.ptr);
    }
}

static void report(const struct watcher *watchers, int count) {
    for (const struct watcher *w = watchers; w < watchers + count; w++)
        printf("stream %d %s %ld %ld %ld %ld %ld %s %ld %ld %ld\n", w->number, *w->job ? w->job : "-", (long)w->posted,
               (long)w->answered, (long)w->first_byte, (long)w->first_delta, (long)w->ended, w->final, w->deltas,
               w->holes, w->duplicates);
    for (const struct arrival *a = arrivals; a < arrivals + arrival_count; a++)
        printf("delta %d %ld %ld %ld\n", a->number, (long)a->arrived, a->total_length, (long)a->timestamp_ms);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("cpu %ld\n", (long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
                            used.ru_stime.tv_usec);
}

int main(int count_of_arguments, char **arguments) {
    if (count_of_arguments != 6) fail("usage: watchers PORT PATH TOKEN JOBS_PER_SECOND SECONDS < bodies");
    port = atoi(arguments[1]);
    path = arguments[2];
    token = arguments[3];
    int count;
    struct watcher *watchers = read_bodies(&count);
    open_count = count;
    poller = epoll_create1(EPOLL_CLOEXEC);
    run(watchers, count, atof(arguments[4]), atof(arguments[5]));
    report(watchers, count);
    return 0;
}
