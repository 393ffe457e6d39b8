/* The load generator of the benchmark: opens many event streams, publishes events, and notes when each arrives.
 *
 *   load streams ...   opens streams and publishes to them; exchanges lines with its parent (see `run_streams`)
 *   load return ...    opens streams that lose their server and reconnect to another with their cursor
 *   load create ...    sends POST requests, at a rate or as fast as they are answered
 *
 * One thread reads all sockets; `streams` has a second one that publishes. It is plain C, so that it never limits a
 * measurement, and it reports its own CPU time. Every figure is in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, READ_BYTES = 65536, MAX_STREAMS = 20000, HTTP_PUBLISHERS = 64, LOOK_US = 200 };

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t cpu_us(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
           used.ru_stime.tv_usec;
}

static void sleep_until(int64_t at_us) {
    int64_t left = at_us - now_us();
    if (left > 0) usleep((useconds_t)left);
}

/* ---- options: --name value ---- */

static int option_count;
static char **options;

static const char *option(const char *name, const char *fallback) {
    for (int i = 0; i + 1 < option_count; i++)
        if (strncmp(options[i], "--", 2) == 0 && strcmp(options[i] + 2, name) == 0) return options[i + 1];
    if (!fallback) fail("--%s is missing", name);
    return fallback;
}

static long number(const char *name, const char *fallback) { return strtol(option(name, fallback), NULL, 10); }

/* ---- samples ---- */

struct samples {
    uint32_t *us;
    size_t count, room;
};

static void add_sample(struct samples *samples, int64_t us) {
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 65536;
        samples->us = realloc(samples->us, samples->room * sizeof *samples->us);
        if (!samples->us) fail("out of memory");
    }
    samples->us[samples->count++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_samples(const char *name, struct samples *samples) {
    size_t n = samples->count;
    qsort(samples->us, n, sizeof *samples->us, compare);
    uint32_t p50 = n ? samples->us[n / 2] : 0, p99 = n ? samples->us[n * 99 / 100] : 0;
    printf("\"%s\": {\"count\": %zu, \"p50\": %u, \"p99\": %u, \"max\": %u}, ", name, n, p50, p99,
           n ? samples->us[n - 1] : 0);
}

/* ---- connections ---- */

static int connect_to(long port, int is_blocking) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | (is_blocking ? 0 : SOCK_NONBLOCK), 0), yes = 1;
    if (fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connecting to port %ld: %s", port, strerror(errno));
    return fd;
}

static void write_all(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (written < 0) fail("write: %s", strerror(errno));
        bytes += written;
        length -= (size_t)written;
    }
}

enum phase { CLOSED, CONNECTING, HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END };

/* Represents one event stream: an HTTP response that is parsed into lines, and the state of its events so far. Stream i
 * watches job i modulo the number of jobs. */
struct stream {
    const char *id;
    int fd, is_chunked;
    enum phase phase;
    size_t chunk_left, line_length;
    int64_t began_at, first_byte_at, back_at, come_back_at, retry_us;
    long last_number, total_length;
    char cursor[40], line[LINE_MAX_BYTES];
};

static struct stream *streams;
static int stream_count, job_count, poll_fd, open_count, lost_count;
static long port;
static struct samples first_bytes, latencies, catch_ups;
static _Atomic long received;
static long duplicates, disordered, holes, refused;
static _Atomic int is_measuring;

static void read_ids(const char *path) {
    FILE *file = fopen(path, "r");
    char line[128];
    if (!file) fail("%s: %s", path, strerror(errno));
    streams = calloc(MAX_STREAMS, sizeof *streams);
    stream_count = (int)number("streams", "0");
    if (stream_count > MAX_STREAMS) fail("at most %d streams", MAX_STREAMS);
    job_count = (int)number("jobs", "0");
    if (!job_count || job_count > stream_count) job_count = stream_count;
    for (int i = 0; i < stream_count; i++) {
        if (i < job_count && !fgets(line, sizeof line, file)) fail("%s has too few ids", path);
        line[strcspn(line, "\n")] = 0;
        streams[i].id = i < job_count ? strdup(line) : streams[i % job_count].id;
        streams[i].last_number = 1;
    }
    fclose(file);
}

static void begin(struct stream *stream) {
    stream->began_at = now_us();
    stream->first_byte_at = 0;
    stream->fd = connect_to(port, 0);
    stream->phase = CONNECTING;
    stream->is_chunked = 0;
    stream->line_length = 0;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = stream};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, stream->fd, &event);
}

static void send_request(struct stream *stream) {
    char request[2048], path[256], cursor[80] = "";
    snprintf(path, sizeof path, option("path", NULL), stream->id);
    if (stream->cursor[0]) snprintf(cursor, sizeof cursor, "Last-Event-ID: %s\r\n", stream->cursor);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s%s\r\n", path, cursor,
                          option("header", ""));
    write_all(stream->fd, request, (size_t)length);
    stream->phase = HEAD;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, stream->fd, &event);
}

static long field(const char *line, const char *name) {
    const char *found = strstr(line, name);
    return found ? strtol(found + strlen(name), NULL, 10) : -1;
}

/* Checks an event: those of the publisher have a number and the time they were sent, those of a job a text length. */
static void take_data(struct stream *stream, const char *line) {
    long event_number = field(line, "\"n\":");
    if (event_number >= 0) {
        if (event_number == stream->last_number + 1)
            stream->last_number = event_number;
        else if (event_number <= stream->last_number)
            duplicates++;
        else {
            disordered++;
            stream->last_number = event_number;
        }
        received++;
        if (is_measuring) add_sample(&latencies, now_us() - field(line, "\"at\":"));
        return;
    }
    const char *text = strstr(line, "\"text\":\"");
    if (!text) return;
    const char *start = text + strlen("\"text\":\"");
    stream->total_length += strchr(start, '"') - start;
    if (stream->total_length != field(line, "\"totalLength\":")) holes++;
    if (stream->back_at) {
        add_sample(&catch_ups, now_us() - stream->began_at);
        stream->back_at = 0;
    }
    received++;
}

static void take_line(struct stream *stream) {
    char *line = stream->line;
    line[stream->line_length] = 0;
    stream->line_length = 0;
    if (strncmp(line, "data:", 5) == 0)
        take_data(stream, line);
    else if (strncmp(line, "id:", 3) == 0)
        snprintf(stream->cursor, sizeof stream->cursor, "%.*s", (int)strcspn(line + 4, "\r"), line + 4);
    else if (strncmp(line, "retry:", 6) == 0)
        stream->retry_us = strtol(line + 6, NULL, 10) * 1000;
}

/* Reads a line of the head or of the chunked coding. Returns true when it is complete. */
static int protocol_line(struct stream *stream, char byte) {
    if (byte != '\n') {
        if (byte != '\r' && stream->line_length < LINE_MAX_BYTES - 1) stream->line[stream->line_length++] = byte;
        return 0;
    }
    stream->line[stream->line_length] = 0;
    return 1;
}

static void take_head_line(struct stream *stream) {
    if (strncmp(stream->line, "HTTP/1.1 ", 9) == 0 && strncmp(stream->line + 9, "200", 3) != 0) refused++;
    if (strcasestr(stream->line, "transfer-encoding: chunked")) stream->is_chunked = 1;
    if (stream->line_length == 0) {
        stream->phase = stream->is_chunked ? CHUNK_SIZE : BODY;
        open_count++;
    }
    stream->line_length = 0;
}

static void take_body(struct stream *stream, const char *bytes, size_t length) {
    while (length) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        if (stream->line_length + part >= LINE_MAX_BYTES) fail("a line of more than %d bytes", LINE_MAX_BYTES);
        memcpy(stream->line + stream->line_length, bytes, part);
        stream->line_length += part;
        if (end) take_line(stream);
        bytes += part + (end != NULL);
        length -= part + (end != NULL);
    }
}

/* Parses bytes of a response. Event lines and chunk sizes share one buffer, so a chunk must end with a whole line. */
static void take(struct stream *stream, const char *bytes, size_t length) {
    while (length) {
        size_t part = 1;
        switch (stream->phase) {
        case HEAD:
            if (protocol_line(stream, *bytes)) take_head_line(stream);
            break;
        case BODY:
            part = length;
            take_body(stream, bytes, part);
            break;
        case CHUNK_SIZE:
            if (protocol_line(stream, *bytes)) {
                stream->chunk_left = strtoul(stream->line, NULL, 16);
                stream->line_length = 0;
                stream->phase = stream->chunk_left ? CHUNK : CHUNK_END;
            }
            break;
        case CHUNK:
            part = length < stream->chunk_left ? length : stream->chunk_left;
            take_body(stream, bytes, part);
            stream->chunk_left -= part;
            if (!stream->chunk_left) stream->phase = CHUNK_END;
            break;
        default:
            if (stream->line_length) fail("a chunk ends within a line: %.60s", stream->line);
            if (*bytes == '\n') stream->phase = CHUNK_SIZE;
        }
        bytes += part;
        length -= part;
    }
}

static void lose(struct stream *stream) {
    close(stream->fd);
    stream->phase = CLOSED;
    open_count--;
    lost_count++;
}

static void on_readable(struct stream *stream) {
    static char bytes[READ_BYTES];
    ssize_t length = read(stream->fd, bytes, sizeof bytes);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        lose(stream);
        return;
    }
    if (!stream->first_byte_at) {
        stream->first_byte_at = now_us();
        add_sample(&first_bytes, stream->first_byte_at - stream->began_at);
    }
    take(stream, bytes, (size_t)length);
}

static void turn(int64_t wait_until) {
    struct epoll_event ready[512];
    int64_t left = wait_until - now_us();
    int count = epoll_wait(poll_fd, ready, 512, left <= 0 ? 0 : (int)((left + 999) / 1000));
    for (int i = 0; i < count; i++) {
        struct stream *stream = ready[i].data.ptr;
        if (stream->phase == CONNECTING)
            send_request(stream);
        else
            on_readable(stream);
    }
}

/* Opens all streams, spread over that time, or with 0 at most 16 at once, so that the server is not overloaded. */
static void open_all(int64_t over_us) {
    int64_t began = now_us();
    for (int i = 0; i < stream_count; i++) {
        while (over_us ? now_us() < began + over_us * i / stream_count : i - open_count >= 16)
            turn(over_us ? began + over_us * i / stream_count : now_us() + 1000);
        begin(&streams[i]);
    }
    int64_t deadline = now_us() + 60000000;
    while (open_count + lost_count < stream_count && now_us() < deadline) turn(now_us() + 1000);
}

static void say(const char *word) {
    printf("%s\n", word);
    fflush(stdout);
}

static void wait_for_word(void) {
    /* Streams are still read while the parent takes measurements of the server. */
    char byte = 0;
    fcntl(0, F_SETFL, O_NONBLOCK);
    while (byte != '\n')
        if (read(0, &byte, 1) != 1) turn(now_us() + 1000);
}

/* ---- publishing ---- */

struct publisher {
    long rate, seconds;
    _Atomic long sent;
    _Atomic int is_done;
    int64_t latest_us;
};

static int add_json(char *into, size_t room, long event_number) {
    return snprintf(into, room,
                    "{\"timestamp\":%lld,\"text\":\"and a button that says what it will do, \",\"totalLength\":%ld,"
                    "\"n\":%ld,\"at\":%lld}",
                    (long long)time(NULL) * 1000, event_number * 39, event_number, (long long)now_us());
}

static size_t add_command(char *into, const char *channel_format, struct stream *stream, long event_number) {
    char json[512], channel[128], payload[640];
    add_json(json, sizeof json, event_number);
    int channel_length = snprintf(channel, sizeof channel, channel_format, stream->id);
    int payload_length = snprintf(payload, sizeof payload, "1-%ld delta %s", event_number, json);
    return (size_t)sprintf(into, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", channel_length, channel,
                           payload_length, payload);
}

static void take_replies(int fd) {
    char bytes[READ_BYTES];
    ssize_t length;
    while ((length = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT)) > 0)
        if (bytes[0] == '-') fail("publishing was refused: %.80s", bytes);
}

/* Publishes as a worker does: all events that are due are sent together, without waiting for earlier replies. */
static long publish_to_redis(int fd, long next, long due) {
    static char batch[1 << 18];
    const char *channel = option("channel", NULL);
    size_t length = 0;
    for (; next < due && length < sizeof batch - 2048; next++)
        length += add_command(batch + length, channel, &streams[next % job_count], next / job_count + 2);
    write_all(fd, batch, length);
    take_replies(fd);
    return next;
}

static int idle[HTTP_PUBLISHERS], idle_count;

/* Publishes as HTTP clients do: over a pool of kept-alive connections, with one request at a time on each. */
static long publish_by_http(int ready_fd, long next, long due) {
    struct epoll_event ready[HTTP_PUBLISHERS];
    char bytes[2048], json[512];
    int count = epoll_wait(ready_fd, ready, HTTP_PUBLISHERS, 0);
    for (int i = 0; i < count; i++) {
        ssize_t length = read(ready[i].data.fd, bytes, sizeof bytes - 1);
        if (length < 12 || strncmp(bytes + 9, "20", 2) != 0) fail("publishing was refused: %.80s", bytes);
        idle[idle_count++] = ready[i].data.fd;
    }
    for (; next < due && idle_count; next++) {
        int json_length = add_json(json, sizeof json, next / job_count + 2);
        int length = snprintf(bytes, sizeof bytes,
                              "POST /pub?id=%s HTTP/1.1\r\nHost: localhost\r\nX-EventSource-Event: delta\r\n"
                              "Content-Length: %d\r\n\r\n%s",
                              streams[next % job_count].id, json_length, json);
        write_all(idle[--idle_count], bytes, (size_t)length);
    }
    return next;
}

static int open_publisher(int is_http) {
    long publish_port = number("publish-port", NULL);
    if (!is_http) return connect_to(publish_port, 1);
    int ready_fd = epoll_create1(0);
    for (int i = 0; i < HTTP_PUBLISHERS; i++) {
        int fd = idle[idle_count++] = connect_to(publish_port, 1);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(ready_fd, EPOLL_CTL_ADD, fd, &event);
    }
    return ready_fd;
}

static void *publish(void *given) {
    struct publisher *publisher = given;
    int is_http = strcmp(option("publish", "redis"), "http") == 0, fd = open_publisher(is_http);
    long per_second = publisher->rate * job_count, events = per_second * publisher->seconds, next = 0;
    int64_t began = now_us();
    while (next < events) {
        int64_t now = now_us(), due_at = began + next * 1000000 / per_second;
        if (now - due_at > publisher->latest_us) publisher->latest_us = now - due_at;
        long due = (now - began) * per_second / 1000000 + 1;
        if (due > events) due = events;
        next = is_http ? publish_by_http(fd, next, due) : publish_to_redis(fd, next, due);
        publisher->sent = next;
        sleep_until(now + (is_http && next < due ? 50 : 500));
    }
    publisher->is_done = 1;
    return NULL;
}

/* Polls the sockets at an interval instead of waking up for each event: a remote client would wake up on its own
 * machine, but here each wake-up takes CPU time from the server. An event is noticed up to LOOK_US after it arrives. */
static void look(void) {
    turn(now_us());
    usleep(LOOK_US);
}

/* Prints `open`, waits for a line and publishes; prints `begin` and `end` around the measurement, then the figures. */
static void run_streams(void) {
    struct publisher publisher = {.rate = number("rate", "10"), .seconds = number("seconds", "5")};
    open_all(number("open-ms", "0") * 1000);
    say("open");
    wait_for_word();
    int64_t cpu = 0, measured_from = 0;
    long to_receive = 0;
    if (publisher.seconds) {
        pthread_t thread;
        pthread_create(&thread, NULL, publish, &publisher);
        int64_t began = now_us();
        while (!publisher.is_done) {
            if (!is_measuring && now_us() - began >= 1000000) {
                is_measuring = 1;
                measured_from = received;
                cpu = cpu_us();
                say("begin");
            }
            look();
        }
        pthread_join(thread, NULL);
        int64_t deadline = now_us() + 3000000;
        cpu = cpu_us() - cpu;
        long in_time = received;
        say("end");
        to_receive = publisher.sent * stream_count / job_count;
        while (received < to_receive && now_us() < deadline) look();
        printf("{\"events\": %ld, \"received_in_time\": %ld, ", to_receive, in_time - (long)measured_from);
    } else
        printf("{\"events\": 0, ");
    print_samples("latency", &latencies);
    print_samples("first_byte", &first_bytes);
    printf("\"missing\": %ld, \"duplicates\": %ld, \"disordered\": %ld, \"refused\": %ld, \"lost\": %d, \"opened\": %d, "
           "\"publisher_late\": %lld, \"cpu\": %lld}\n",
           to_receive - received, duplicates, disordered, refused, lost_count, open_count,
           (long long)publisher.latest_us, (long long)cpu);
}

/* Opens all streams at `port` and prints `open`. Those that are cut reconnect to `second-port` with their cursor, after
 * the time in their stream's `retry:` field. Ends when every stream has `length` characters of text, or after 30 s. */
static void run_return(void) {
    long length = number("length", NULL), before = number("length-before", NULL), second_port = number("second-port", NULL);
    open_all(0);
    for (int i = 0; i < stream_count; i++)
        while (streams[i].total_length < before) turn(now_us() + 1000);
    first_bytes.count = catch_ups.count = 0;
    port = second_port;
    say("open");
    int64_t deadline = now_us() + 30000000;
    int whole = 0, back = 0;
    while (whole < stream_count && now_us() < deadline) {
        turn(now_us() + 1000);
        whole = 0;
        for (int i = 0; i < stream_count; i++) {
            struct stream *stream = &streams[i];
            whole += stream->total_length >= length;
            if (stream->phase != CLOSED) continue;
            if (!stream->come_back_at)
                stream->come_back_at = now_us() + stream->retry_us;
            else if (now_us() >= stream->come_back_at) {
                stream->back_at = now_us();
                stream->come_back_at = 0;
                back++;
                begin(stream);
            }
        }
    }
    printf("{");
    print_samples("first_byte", &first_bytes);
    print_samples("catch_up", &catch_ups);
    printf("\"whole\": %d, \"came_back\": %d, \"holes\": %ld, \"refused\": %ld}\n", whole, back, holes, refused);
}

/* ---- POST requests ---- */

struct caller {
    int fd, is_busy;
    int64_t due;
    size_t length;
    char bytes[8192];
};

/* Returns whether the whole response has arrived: its head and as many bytes as its Content-Length says. */
static int is_whole(struct caller *caller) {
    caller->bytes[caller->length] = 0;
    char *body = strstr(caller->bytes, "\r\n\r\n");
    if (!body) return 0;
    char *said = strcasestr(caller->bytes, "content-length:");
    if (!said || said > body) fail("an answer without a length");
    return caller->length >= (size_t)(body + 4 - caller->bytes) + strtoul(said + 15, NULL, 10);
}

static void run_create(void) {
    long seconds = number("seconds", "5"), rate = number("rate", "0"), connections = number("connections", "16");
    char request[4096];
    const char *body = option("body", NULL);
    int request_length = snprintf(request, sizeof request,
                                  "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s"
                                  "Content-Length: %zu\r\n\r\n%s",
                                  option("path", NULL), option("header", ""), strlen(body), body);
    struct caller *callers = calloc((size_t)connections, sizeof *callers);
    for (long i = 0; i < connections; i++) {
        callers[i].fd = connect_to(port, 1);
        fcntl(callers[i].fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &callers[i]};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, callers[i].fd, &event);
    }
    int64_t began = now_us(), end = began + seconds * 1000000, cpu = cpu_us(), last = began;
    long sent = 0, answered = 0, to_send = rate * seconds;
    while (now_us() < end || (rate && answered < to_send && now_us() < end + 10000000)) {
        for (long i = 0; i < connections; i++) {
            int64_t now = now_us(), due = rate ? began + sent * 1000000 / rate : now;
            if (callers[i].is_busy || due > now || now >= end + 10000000 || (!rate && now >= end)) continue;
            if (rate && sent >= to_send) break;
            /* The time counts from when the request was due: waiting for a connection is waiting for the server. */
            callers[i].due = due;
            callers[i].is_busy = 1;
            callers[i].length = 0;
            write_all(callers[i].fd, request, (size_t)request_length);
            sent++;
        }
        struct epoll_event ready[256];
        int count = epoll_wait(poll_fd, ready, 256, 1);
        for (int i = 0; i < count; i++) {
            struct caller *caller = ready[i].data.ptr;
            ssize_t length = read(caller->fd, caller->bytes + caller->length, sizeof caller->bytes - 1 - caller->length);
            if (length <= 0) fail("a connection was closed");
            caller->length += (size_t)length;
            if (!is_whole(caller)) continue;
            last = now_us();
            add_sample(&latencies, last - caller->due);
            if (strncmp(caller->bytes + 9, "20", 2) != 0) {
                if (!refused++) fprintf(stderr, "load: refused: %.400s\n", caller->bytes);
            }
            caller->is_busy = 0;
            answered++;
        }
    }
    printf("{\"answered\": %ld, \"seconds\": %.3f, \"refused\": %ld, ", answered, (double)(last - began) / 1e6, refused);
    print_samples("latency", &latencies);
    printf("\"cpu\": %lld}\n", (long long)(cpu_us() - cpu));
}

int main(int count, char **arguments) {
    if (count < 2) fail("streams, return or create?");
    option_count = count;
    options = arguments;
    port = number("port", NULL);
    poll_fd = epoll_create1(0);
    if (strcmp(arguments[1], "create") == 0) {
        run_create();
        return 0;
    }
    read_ids(option("ids", NULL));
    if (strcmp(arguments[1], "streams") == 0)
        run_streams();
    else if (strcmp(arguments[1], "return") == 0)
        run_return();
    else
        fail("no such command: %s", arguments[1]);
    return 0;
}
