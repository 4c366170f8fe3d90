// librdkafka of Debian, in C; ../facts.ts says what the program does and prints.
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 10000, PARTITIONS = 3, EARLIEST = -2, LATEST = -1 };

static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
static const char *bootstrap, *name;
static int64_t t0;
static rd_kafka_t *admin;

static void die(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  _exit(1);
}

static void check(const char *what, rd_kafka_resp_err_t error) {
  if (error) die(what, rd_kafka_err2str(error));
}

static char *text(const char *format, ...) {
  char *made = NULL;
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&made, format, arguments) < 0) die("text", "out of memory");
  va_end(arguments);
  return made;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

// Waits until the condition holds.
#define UNTIL(condition)                                                     \
  for (double deadline = seconds() + 60; !(condition); usleep(5000))         \
    if (seconds() > deadline) die("waited in vain until", #condition)

// What is told grows in memory, and is printed as one line.
struct buffer {
  char *bytes;
  size_t size, room;
};

static void put(struct buffer *buffer, const void *bytes, size_t size) {
  if (buffer->size + size + 1 > buffer->room) {
    buffer->room = 2 * (buffer->size + size + 1);
    buffer->bytes = realloc(buffer->bytes, buffer->room);
    if (!buffer->bytes) die("put", "out of memory");
  }
  memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
  buffer->bytes[buffer->size] = 0;
}

static uint32_t crc32(const unsigned char *bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t index = 0; index < size; index++) {
    crc ^= bytes[index];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// What a consumer has read: rows for the checker, which numbers, and the positions behind them.
struct reading {
  pthread_mutex_t lock;
  struct buffer rows;
  int count;
  bool seen[COUNT];
  int64_t next[PARTITIONS]; // -1: nothing read
};

static struct reading *new_reading(void) {
  struct reading *reading = calloc(1, sizeof *reading);
  pthread_mutex_init(&reading->lock, NULL);
  for (int each = 0; each < PARTITIONS; each++) reading->next[each] = -1;
  return reading;
}

static void add(struct reading *reading, const rd_kafka_message_t *message) {
  struct buffer all = {0};
  put(&all, message->key, message->key_len), put(&all, "", 1);
  put(&all, message->payload, message->len), put(&all, "", 1);
  rd_kafka_headers_t *headers = NULL;
  rd_kafka_message_headers(message, &headers);
  const char *header;
  const void *value;
  size_t size;
  for (size_t each = 0; headers && !rd_kafka_header_get_all(headers, each, &header, &value, &size); each++) {
    put(&all, header, strlen(header) + 1);
    put(&all, value, size), put(&all, "", 1);
  }
  char time[32];
  put(&all, time, sprintf(time, "%lld", (long long)rd_kafka_message_timestamp(message, NULL)));
  int number = 0;
  sscanf(message->payload, "value %d", &number);
  pthread_mutex_lock(&reading->lock);
  char *row = text("%s[%d,%lld,%d,%u]", reading->count ? "," : "", message->partition,
                   (long long)message->offset, number, crc32((unsigned char *)all.bytes, all.size));
  put(&reading->rows, row, strlen(row));
  reading->count++;
  if (number >= 0 && number < COUNT) reading->seen[number] = true;
  reading->next[message->partition] = message->offset + 1;
  pthread_mutex_unlock(&reading->lock);
  free(row);
  free(all.bytes);
}

// The rows that were read since the last time, as a list.
static char *take(struct reading *reading) {
  pthread_mutex_lock(&reading->lock);
  char *rows = text("[%s]", reading->count ? reading->rows.bytes : "");
  reading->rows.size = reading->count = 0;
  pthread_mutex_unlock(&reading->lock);
  return rows;
}

static rd_kafka_conf_t *settings(const char *first, ...) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  const char *common[] = {"bootstrap.servers", bootstrap, "client.id", name, "reconnect.backoff.max.ms", "500", "log_level", "3"};
  char why[200];
  for (int each = 0; each < 8; each += 2)
    if (rd_kafka_conf_set(conf, common[each], common[each + 1], why, sizeof why)) die("setting", why);
  va_list more;
  va_start(more, first);
  for (const char *key = first; key; key = va_arg(more, const char *))
    if (rd_kafka_conf_set(conf, key, va_arg(more, const char *), why, sizeof why)) die("setting", why);
  va_end(more);
  return conf;
}

static rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char why[200];
  rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
  if (!client) die("open", why);
  return client;
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  check("delivery", message->err);
  ++*(int *)opaque;
}

static rd_kafka_t *open_producer(const char *codec, int *acknowledged) {
  rd_kafka_conf_t *conf = settings("enable.idempotence", "true", "linger.ms", "5", "compression.type", codec, NULL);
  rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_conf_set_opaque(conf, acknowledged);
  return open_client(RD_KAFKA_PRODUCER, conf);
}

static void send_record(rd_kafka_t *producer, const char *topic, int n) {
  char key[16], value[160], number[16];
  int key_size = sprintf(key, "key-%d", n % 97), size = sprintf(value, "value %d", n);
  for (int each = 0; each < n % 20; each++) size += sprintf(value + size, " again");
  sprintf(number, "%d", n);
  check("produce", rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_size),
      RD_KAFKA_V_VALUE(value, size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(t0 + n),
      RD_KAFKA_V_HEADER("n", number, -1), RD_KAFKA_V_HEADER("empty", "", 0),
      RD_KAFKA_V_HEADER("raw", "\x00\xff\x80", 3), RD_KAFKA_V_END));
}

static int produce(const char *topic, const char *codec, int first, int count) {
  int acknowledged = 0;
  rd_kafka_t *producer = open_producer(codec, &acknowledged);
  for (int n = first; n < first + count; n++) send_record(producer, topic, n);
  check("flush", rd_kafka_flush(producer, 60000));
  rd_kafka_destroy(producer);
  return acknowledged;
}

// Answers of the admin calls come as events of a queue.
static rd_kafka_event_t *answer(rd_kafka_queue_t *queue) {
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
  if (!event) die("admin", "no answer");
  check("admin", rd_kafka_event_error(event));
  rd_kafka_queue_destroy(queue);
  return event;
}

static int create(const char *topic) {
  char why[200];
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, why, sizeof why);
  rd_kafka_CreateTopics(admin, &wanted, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue);
  size_t count;
  int code = rd_kafka_topic_result_error(rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)[0]);
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy(wanted);
  return code;
}

static int partition_count(const char *topic) {
  const rd_kafka_metadata_t *metadata;
  rd_kafka_topic_t *handle = rd_kafka_topic_new(admin, topic, NULL);
  check("metadata", rd_kafka_metadata(admin, 0, handle, &metadata, 10000));
  int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(handle);
  return count;
}

// By partition: the first offset, the one behind the last, or that of a time.
static void offsets(const char *topic, int64_t place, int64_t *found) {
  rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int each = 0; each < PARTITIONS; each++) {
    int64_t low, high;
    rd_kafka_topic_partition_list_add(asked, topic, each)->offset = place;
    if (place >= 0) continue;
    check("watermarks", rd_kafka_query_watermark_offsets(admin, topic, each, &low, &high, 10000));
    found[each] = place == EARLIEST ? low : high;
  }
  if (place >= 0) {
    check("offsets for times", rd_kafka_offsets_for_times(admin, asked, 10000));
    for (int each = 0; each < PARTITIONS; each++) found[each] = asked->elems[each].offset;
  }
  rd_kafka_topic_partition_list_destroy(asked);
}

static char *listed_offsets(const int64_t *found) {
  return text("{\"0\":%lld,\"1\":%lld,\"2\":%lld}", (long long)found[0], (long long)found[1], (long long)found[2]);
}

static char *told_offsets(const char *topic, int64_t place) {
  int64_t found[PARTITIONS];
  offsets(topic, place, found);
  return listed_offsets(found);
}

static char *committed(const char *group) {
  rd_kafka_t *consumer = open_client(RD_KAFKA_CONSUMER, settings("group.id", group, NULL));
  rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int each = 0; each < PARTITIONS; each++) rd_kafka_topic_partition_list_add(asked, group, each);
  check("committed", rd_kafka_committed(consumer, asked, 10000));
  int64_t found[PARTITIONS];
  for (int each = 0; each < PARTITIONS; each++) found[each] = asked->elems[each].offset;
  rd_kafka_topic_partition_list_destroy(asked);
  rd_kafka_destroy(consumer);
  return listed_offsets(found);
}

static char *retention(const char *topic) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
  rd_kafka_DescribeConfigs(admin, &resource, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue);
  size_t count;
  const rd_kafka_ConfigResource_t *described =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count)[0];
  check("describe", rd_kafka_ConfigResource_error(described));
  const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(described, &count);
  char *value = NULL;
  for (size_t each = 0; each < count; each++)
    if (!strcmp(rd_kafka_ConfigEntry_name(entries[each]), "retention.ms")) value = strdup(rd_kafka_ConfigEntry_value(entries[each]));
  rd_kafka_event_destroy(event);
  rd_kafka_ConfigResource_destroy(resource);
  return value ? value : strdup("");
}

static void set_retention(const char *topic, const char *ms) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
  rd_kafka_ConfigResource_set_config(resource, "retention.ms", ms);
  rd_kafka_AlterConfigs(admin, &resource, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue);
  size_t count;
  check("alter", rd_kafka_ConfigResource_error(rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count)[0]));
  rd_kafka_event_destroy(event);
  rd_kafka_ConfigResource_destroy(resource);
}

static void delete_records(const char *topic, int partition, int64_t before) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_topic_partition_list_t *wanted = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(wanted, topic, partition)->offset = before;
  rd_kafka_DeleteRecords_t *deletion = rd_kafka_DeleteRecords_new(wanted);
  rd_kafka_DeleteRecords(admin, &deletion, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue);
  check("delete records", rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))->elems[0].err);
  rd_kafka_event_destroy(event);
  rd_kafka_DeleteRecords_destroy(deletion);
  rd_kafka_topic_partition_list_destroy(wanted);
}

static void delete_topic(const char *topic) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_DeleteTopic_t *wanted = rd_kafka_DeleteTopic_new(topic);
  rd_kafka_DeleteTopics(admin, &wanted, 1, NULL, queue);
  rd_kafka_event_t *event = answer(queue);
  size_t count;
  check("delete topic", rd_kafka_topic_result_error(rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)[0]));
  rd_kafka_event_destroy(event);
  rd_kafka_DeleteTopic_destroy(wanted);
}

// The topics whose names begin with that of this run, as a list.
static char *listed_topics(void) {
  const rd_kafka_metadata_t *metadata;
  check("metadata", rd_kafka_metadata(admin, 1, NULL, &metadata, 10000));
  struct buffer list = {0};
  put(&list, "[", 1);
  for (int each = 0; each < metadata->topic_cnt; each++) {
    const char *topic = metadata->topics[each].topic;
    if (strncmp(topic, name, strlen(name)) || topic[strlen(name)] != '-') continue;
    if (list.size > 1) put(&list, ",", 1);
    put(&list, "\"", 1), put(&list, topic, strlen(topic)), put(&list, "\"", 1);
  }
  put(&list, "]", 1);
  rd_kafka_metadata_destroy(metadata);
  return list.bytes;
}

// Reads the whole topic, without a group.
static char *read_all(const char *topic) {
  int64_t start[PARTITIONS], end[PARTITIONS], count = 0;
  offsets(topic, EARLIEST, start);
  offsets(topic, LATEST, end);
  rd_kafka_t *consumer = open_client(RD_KAFKA_CONSUMER, settings("group.id", "none", "enable.auto.commit", "false", NULL));
  rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int each = 0; each < PARTITIONS; each++) {
    rd_kafka_topic_partition_list_add(all, topic, each)->offset = start[each];
    count += end[each] - start[each];
  }
  check("assign", rd_kafka_assign(consumer, all));
  struct reading *reading = new_reading();
  for (double deadline = seconds() + 60; reading->count < count;) {
    if (seconds() > deadline) die("read", "not all was read");
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 50);
    if (!message) continue;
    check("read", message->err);
    add(reading, message);
    rd_kafka_message_destroy(message);
  }
  rd_kafka_topic_partition_list_destroy(all);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return take(reading);
}

// A member of the group that is named as its topic, polling in a thread of its own.
struct member {
  struct reading *reading;
  const char *topic;
  rd_kafka_t *consumer;
  pthread_t thread;
  bool commits_always;
  atomic_bool owned[PARTITIONS], is_leaving;
};

static int owned_count(struct member *member) {
  int count = 0;
  for (int each = 0; each < PARTITIONS; each++) count += member->owned[each];
  return count;
}

static char *owned_list(struct member *member) {
  struct buffer list = {0};
  put(&list, "[", 1);
  for (int each = 0; each < PARTITIONS; each++) {
    if (!member->owned[each]) continue;
    char digit = '0' + each;
    if (list.size > 1) put(&list, ",", 1);
    put(&list, &digit, 1);
  }
  put(&list, "]", 1);
  return list.bytes;
}

// Commits the positions of what it owns, so many below what it has read.
static rd_kafka_resp_err_t commit(struct member *member, int below) {
  rd_kafka_topic_partition_list_t *positions = rd_kafka_topic_partition_list_new(PARTITIONS);
  pthread_mutex_lock(&member->reading->lock);
  for (int each = 0; each < PARTITIONS; each++)
    if (member->owned[each] && member->reading->next[each] >= 0)
      rd_kafka_topic_partition_list_add(positions, member->topic, each)->offset = member->reading->next[each] - below;
  pthread_mutex_unlock(&member->reading->lock);
  rd_kafka_resp_err_t error = positions->cnt ? rd_kafka_commit(member->consumer, positions, 0) : RD_KAFKA_RESP_ERR_NO_ERROR;
  rd_kafka_topic_partition_list_destroy(positions);
  return error;
}

static void rebalanced(rd_kafka_t *consumer, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *partitions, void *opaque) {
  struct member *member = opaque;
  bool is_assigned = event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
  rd_kafka_assign(consumer, is_assigned ? partitions : NULL);
  for (int each = 0; each < partitions->cnt; each++) {
    int partition = partitions->elems[each].partition;
    member->owned[partition] = is_assigned;
    if (!is_assigned) member->reading->next[partition] = -1;
  }
}

static void *run_member(void *opaque) {
  struct member *member = opaque;
  double committed_at = seconds();
  while (!member->is_leaving) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(member->consumer, 50);
    if (message) {
      // A server that is away is told as an error in place of a message.
      if (!message->err) add(member->reading, message);
      else fprintf(stderr, "poll: %s\n", rd_kafka_message_errstr(message));
      rd_kafka_message_destroy(message);
    }
    if (!member->commits_always || seconds() < committed_at + 0.05) continue;
    rd_kafka_resp_err_t error = commit(member, 0);
    if (error) fprintf(stderr, "commit: %s\n", rd_kafka_err2str(error));
    committed_at = seconds();
  }
  check("close", rd_kafka_consumer_close(member->consumer));
  return NULL;
}

static struct member *join(const char *topic, bool commits_always) {
  struct member *member = calloc(1, sizeof *member);
  member->reading = new_reading();
  member->topic = topic;
  member->commits_always = commits_always;
  rd_kafka_conf_t *conf = settings("group.id", topic, "enable.auto.commit", "false", "auto.offset.reset", "earliest",
      "session.timeout.ms", "10000", "heartbeat.interval.ms", "200", NULL);
  rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
  rd_kafka_conf_set_opaque(conf, member);
  member->consumer = open_client(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(member->consumer);
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
  check("subscribe", rd_kafka_subscribe(member->consumer, topics));
  rd_kafka_topic_partition_list_destroy(topics);
  pthread_create(&member->thread, NULL, run_member, member);
  return member;
}

static void leave(struct member *member) {
  member->is_leaving = true;
  pthread_join(member->thread, NULL);
  rd_kafka_destroy(member->consumer);
}

static void tell(const char *step, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("{\"step\":\"%s\",", step);
  vprintf(format, arguments);
  printf("}\n");
  fflush(stdout);
  va_end(arguments);
}

static void group(const char *topic) {
  struct member *first = join(topic, false);
  produce(topic, "lz4", 0, 4000);
  UNTIL(first->reading->count == 4000);
  check("commit", commit(first, 0));
  tell("group-first", "\"records\":%s", take(first->reading));

  struct member *second = join(topic, false);
  UNTIL(owned_count(second) > 0 && owned_count(first) + owned_count(second) == PARTITIONS);
  produce(topic, "lz4", 4000, 3000);
  UNTIL(first->reading->count + second->reading->count == 3000);
  check("commit", commit(first, 0));
  check("commit", commit(second, 0));
  tell("group-shared", "\"partitions\":[%s,%s],\"members\":[%s,%s]", owned_list(first), owned_list(second),
       take(first->reading), take(second->reading));

  leave(second);
  UNTIL(owned_count(first) == PARTITIONS);
  produce(topic, "lz4", 7000, 3000);
  UNTIL(first->reading->count == 3000);
  tell("group-left", "\"partitions\":%s,\"records\":%s", owned_list(first), take(first->reading));
  check("commit", commit(first, 7));
  leave(first);
  tell("group-committed", "\"committed\":%s", committed(topic));

  struct member *again = join(topic, false);
  UNTIL(again->reading->count >= 7 * PARTITIONS);
  leave(again);
  tell("group-restarted", "\"records\":%s", take(again->reading));
}

static void journey(void) {
  char *none = text("%s-none", name), *grouped = text("%s-group", name), *topics[6];
  for (int each = 0; each < 5; each++) topics[each] = text("%s-%s", name, codecs[each]);
  topics[5] = grouped;
  for (int each = 0; each < 6; each++) check("create", create(topics[each]));
  int again = create(grouped);
  tell("created", "\"partitions\":%d,\"again\":%d", partition_count(grouped), again);

  for (int each = 0; each < 5; each++) {
    tell("produced", "\"codec\":\"%s\",\"acknowledged\":%d", codecs[each], produce(topics[each], codecs[each], 0, COUNT));
    tell("read", "\"codec\":\"%s\",\"records\":%s", codecs[each], read_all(topics[each]));
  }
  group(grouped);

  tell("offsets", "\"earliest\":%s,\"latest\":%s,\"times\":[%s,%s,%s,%s]", told_offsets(none, EARLIEST),
       told_offsets(none, LATEST), told_offsets(none, t0 - 1), told_offsets(none, t0),
       told_offsets(none, t0 + COUNT / 2), told_offsets(none, t0 + COUNT));

  char *before = retention(none);
  set_retention(none, "86400000");
  tell("config", "\"before\":\"%s\",\"after\":\"%s\"", before, retention(none));

  delete_records(none, 0, 100);
  tell("records-deleted", "\"earliest\":%s,\"records\":%s", told_offsets(none, EARLIEST), read_all(none));

  for (int each = 0; each < 6; each++) delete_topic(topics[each]);
  tell("topics-deleted", "\"listed\":%s", listed_topics());
}

static bool have_read_all(struct member **members) {
  for (int n = 0; n < COUNT; n++)
    if (!members[0]->reading->seen[n] && !members[1]->reading->seen[n]) return false;
  return true;
}

static void crash(void) {
  char *topic = text("%s-crash", name);
  check("create", create(topic));
  struct member *members[] = {join(topic, true), join(topic, true)};
  UNTIL(owned_count(members[0]) > 0 && owned_count(members[1]) > 0);
  tell("created", "\"partitions\":%d", PARTITIONS);

  int acknowledged = 0, told = 0;
  const int left[] = {3000, 6500};
  rd_kafka_t *producer = open_producer("none", &acknowledged);
  for (int n = 0; n < COUNT;) {
    for (int end = n + 250; n < end; n++) send_record(producer, topic, n);
    usleep(25000);
    // At most 1,000 are on the way.
    UNTIL((rd_kafka_poll(producer, 0), acknowledged >= n - 1000));
    if (told < 2 && acknowledged >= left[told]) {
      tell("producing", "\"acknowledged\":%d", acknowledged);
      told++;
    }
  }
  check("flush", rd_kafka_flush(producer, 60000));
  rd_kafka_destroy(producer);
  tell("produced", "\"acknowledged\":%d", acknowledged);

  UNTIL(have_read_all(members));
  UNTIL(!strcmp(committed(topic), told_offsets(topic, LATEST)));
  leave(members[0]);
  leave(members[1]);
  tell("consumed", "\"members\":[%s,%s]", take(members[0]->reading), take(members[1]->reading));
  tell("committed", "\"committed\":%s", committed(topic));
  tell("read", "\"records\":%s", read_all(topic));
}

int main(int argc, char **argv) {
  if (argc != 5) die("usage", "client HOST:PORT journey|crash NAME T0");
  bootstrap = argv[1];
  name = argv[3];
  t0 = atoll(argv[4]);
  admin = open_client(RD_KAFKA_PRODUCER, settings(NULL, NULL));
  if (!strcmp(argv[2], "crash")) crash();
  else journey();
  rd_kafka_destroy(admin);
  return 0;
}
