// The Java client; ../facts.ts says what the program does and prints. Compiles against 2.8 and 4.x alike.
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Client {
  static final int COUNT = 10_000;
  static final int PARTITIONS = 3;
  static final byte[] RAW = {0, (byte) 0xff, (byte) 0x80};

  static String bootstrap;
  static String name;
  static long t0;
  static Admin admin;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    name = args[2];
    t0 = Long.parseLong(args[3]);
    admin = Admin.create(config("admin"));
    if (args[1].equals("crash")) crash();
    else journey();
    admin.close();
  }

  static void journey() throws Exception {
    String none = name + "-none";
    String grouped = name + "-group";
    List<String> codecs = List.of("none", "gzip", "snappy", "lz4", "zstd");
    for (String codec : codecs) create(name + "-" + codec);
    create(grouped);
    int again = codeOf(() -> create(grouped));
    tell("created", "\"partitions\":" + partitionCount(grouped) + ",\"again\":" + again);

    for (String codec : codecs) {
      String topic = name + "-" + codec;
      int acknowledged = produce(topic, codec, 0, COUNT);
      tell("produced", "\"codec\":\"" + codec + "\",\"acknowledged\":" + acknowledged);
      tell("read", "\"codec\":\"" + codec + "\",\"records\":" + readAll(topic));
    }
    group(grouped);

    List<Map<Integer, Long>> times = new ArrayList<>();
    for (int n : new int[] {-1, 0, COUNT / 2, COUNT}) times.add(offsets(none, OffsetSpec.forTimestamp(t0 + n)));
    String found = times.stream().map(Client::json).collect(Collectors.joining(","));
    tell("offsets", "\"earliest\":" + json(offsets(none, OffsetSpec.earliest())) + ",\"latest\":"
        + json(offsets(none, OffsetSpec.latest())) + ",\"times\":[" + found + "]");

    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, none);
    String before = setting(resource);
    AlterConfigOp set = new AlterConfigOp(new ConfigEntry("retention.ms", "86400000"), AlterConfigOp.OpType.SET);
    admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
    tell("config", "\"before\":\"" + before + "\",\"after\":\"" + setting(resource) + "\"");

    admin.deleteRecords(Map.of(new TopicPartition(none, 0), RecordsToDelete.beforeOffset(100))).all().get();
    tell("records-deleted", "\"earliest\":" + json(offsets(none, OffsetSpec.earliest())) + ",\"records\":" + readAll(none));

    List<String> topics = codecs.stream().map(codec -> name + "-" + codec).collect(Collectors.toList());
    topics.add(grouped);
    admin.deleteTopics(topics).all().get();
    Set<String> listed = new TreeSet<>(admin.listTopics().names().get());
    listed.removeIf(topic -> !topic.startsWith(name + "-"));
    tell("topics-deleted", "\"listed\":" + listed.stream().map(t -> "\"" + t + "\"").collect(Collectors.toList()));
  }

  static void group(String topic) throws Exception {
    Member first = new Member(topic, false);
    produce(topic, "lz4", 0, 4_000);
    until("one member has read all", () -> first.count() == 4_000);
    first.commit(first.next());
    tell("group-first", "\"records\":" + first.take());

    Member second = new Member(topic, false);
    until("both own partitions", () -> !second.owned.isEmpty() && first.owned.size() + second.owned.size() == PARTITIONS);
    produce(topic, "lz4", 4_000, 3_000);
    until("two members have read all", () -> first.count() + second.count() == 3_000);
    tell("group-shared", "\"partitions\":[" + first.owned + "," + second.owned + "],\"members\":[" + first.take() + "," + second.take() + "]");
    first.commit(first.next());
    second.commit(second.next());
    second.leave();

    until("the first one owns all", () -> first.owned.size() == PARTITIONS);
    produce(topic, "lz4", 7_000, 3_000);
    until("it has read all", () -> first.count() == 3_000);
    tell("group-left", "\"partitions\":" + first.owned + ",\"records\":" + first.take());
    Map<TopicPartition, OffsetAndMetadata> middle = new HashMap<>();
    first.next().forEach((partition, next) -> middle.put(partition, new OffsetAndMetadata(next.offset() - 7)));
    first.commit(middle);
    first.leave();
    tell("group-committed", "\"committed\":" + committed(topic));

    Member again = new Member(topic, false);
    until("it has read what was not committed", () -> again.count() >= 7 * PARTITIONS);
    again.leave();
    tell("group-restarted", "\"records\":" + again.take());
  }

  static void crash() throws Exception {
    String topic = name + "-crash";
    create(topic);
    List<Member> members = List.of(new Member(topic, true), new Member(topic, true));
    until("both own partitions", () -> members.stream().noneMatch(member -> member.owned.isEmpty()));
    tell("created", "\"partitions\":" + partitionCount(topic));

    AtomicInteger acknowledged = new AtomicInteger();
    List<Future<?>> sent = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config("producer"))) {
      List<Integer> told = new ArrayList<>(List.of(3_000, 6_500));
      for (int n = 0; n < COUNT || !told.isEmpty(); ) {
        for (int end = Math.min(COUNT, n + 250); n < end; n++) {
          sent.add(producer.send(record(topic, n), (metadata, error) -> {
            if (error == null) acknowledged.incrementAndGet();
          }));
        }
        Thread.sleep(25);
        int written = n;
        until("all but 1,000 are acknowledged", () -> acknowledged.get() >= written - 1_000);
        if (!told.isEmpty() && acknowledged.get() >= told.get(0)) {
          tell("producing", "\"acknowledged\":" + acknowledged.get());
          told.remove(0);
        }
      }
      for (Future<?> each : sent) each.get();
    }
    tell("produced", "\"acknowledged\":" + acknowledged.get());

    until("the members have read all", () -> {
      Set<Integer> numbers = new TreeSet<>();
      for (Member member : members) numbers.addAll(member.numbers());
      return numbers.size() == COUNT;
    });
    until("all is committed", () -> committed(topic).equals(json(offsets(topic, OffsetSpec.latest()))));
    for (Member member : members) member.leave();
    tell("consumed", "\"members\":[" + members.get(0).take() + "," + members.get(1).take() + "]");
    tell("committed", "\"committed\":" + committed(topic));
    tell("read", "\"records\":" + readAll(topic));
  }

  /** A member of the group that is named as its topic, polling in a thread of its own. */
  static final class Member implements ConsumerRebalanceListener {
    volatile Collection<Integer> owned = List.of();
    private final List<String> rows = new ArrayList<>();
    private final List<Integer> numbers = new ArrayList<>();
    private final Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
    private final ConcurrentLinkedQueue<FutureTask<?>> tasks = new ConcurrentLinkedQueue<>();
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final boolean commitsAlways;
    private volatile boolean isLeaving;
    private final Thread thread = new Thread(this::run);

    Member(String topic, boolean commitsAlways) {
      this.commitsAlways = commitsAlways;
      consumer = new KafkaConsumer<>(config("consumer", "group.id", topic));
      consumer.subscribe(List.of(topic), this);
      thread.start();
    }

    private void run() {
      try {
        while (!isLeaving) {
          for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) add(record);
          if (commitsAlways) commitWhatWasRead();
          for (FutureTask<?> task; (task = tasks.poll()) != null; ) task.run();
        }
        consumer.close();
      } catch (Throwable error) {
        die(error);
      }
    }

    /** The server may be away: the next one commits more. */
    private void commitWhatWasRead() {
      try {
        consumer.commitSync(ofMine(next()), Duration.ofMillis(500));
      } catch (KafkaException error) {
        System.err.println("commit: " + error);
      }
    }

    /** Those of partitions it owns. */
    private Map<TopicPartition, OffsetAndMetadata> ofMine(Map<TopicPartition, OffsetAndMetadata> all) {
      Map<TopicPartition, OffsetAndMetadata> mine = new HashMap<>(all);
      mine.keySet().retainAll(consumer.assignment());
      return mine;
    }

    private synchronized void add(ConsumerRecord<byte[], byte[]> record) {
      int number = Integer.parseInt(new String(record.value(), UTF_8).split(" ")[1]);
      numbers.add(number);
      rows.add(row(record, number));
      next.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
    }

    synchronized int count() {
      return rows.size();
    }

    synchronized List<Integer> numbers() {
      return List.copyOf(numbers);
    }

    /** What was read since the last time. */
    synchronized String take() {
      String all = rows.toString();
      rows.clear();
      return all;
    }

    synchronized Map<TopicPartition, OffsetAndMetadata> next() {
      return new HashMap<>(next);
    }

    void commit(Map<TopicPartition, OffsetAndMetadata> positions) throws Exception {
      FutureTask<?> task = new FutureTask<>(() -> consumer.commitSync(ofMine(positions)), null);
      tasks.add(task);
      task.get();
    }

    void leave() throws InterruptedException {
      isLeaving = true;
      thread.join();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      owned = List.of();
      synchronized (this) {
        next.keySet().removeAll(partitions);
      }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      owned = consumer.assignment().stream().map(TopicPartition::partition).sorted().collect(Collectors.toList());
    }
  }

  static Properties config(String kind, String... more) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("client.id", name + "-" + kind);
    properties.put("reconnect.backoff.max.ms", "500");
    if (kind.equals("producer")) {
      properties.put("key.serializer", ByteArraySerializer.class);
      properties.put("value.serializer", ByteArraySerializer.class);
      properties.put("enable.idempotence", "true");
      properties.put("acks", "all");
      properties.put("linger.ms", "5");
    }
    if (kind.equals("consumer")) {
      properties.put("key.deserializer", ByteArrayDeserializer.class);
      properties.put("value.deserializer", ByteArrayDeserializer.class);
      properties.put("enable.auto.commit", "false");
      properties.put("auto.offset.reset", "earliest");
      properties.put("session.timeout.ms", "10000");
      properties.put("heartbeat.interval.ms", "200");
    }
    for (int index = 0; index < more.length; index += 2) properties.put(more[index], more[index + 1]);
    return properties;
  }

  static void create(String topic) throws Exception {
    admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
  }

  static int produce(String topic, String codec, int first, int count) throws Exception {
    int acknowledged = 0;
    List<Future<?>> sent = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config("producer", "compression.type", codec))) {
      for (int n = first; n < first + count; n++) sent.add(producer.send(record(topic, n)));
      for (Future<?> each : sent) {
        each.get();
        acknowledged++;
      }
    }
    return acknowledged;
  }

  static ProducerRecord<byte[], byte[]> record(String topic, int n) {
    byte[] value = ("value " + n + " again".repeat(n % 20)).getBytes(UTF_8);
    ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, null, t0 + n, ("key-" + n % 97).getBytes(UTF_8), value);
    record.headers().add("n", String.valueOf(n).getBytes(UTF_8)).add("empty", new byte[0]).add("raw", RAW);
    return record;
  }

  static String row(ConsumerRecord<byte[], byte[]> record, int number) {
    CRC32 crc = new CRC32();
    update(crc, record.key());
    update(crc, record.value());
    for (Header header : record.headers()) {
      update(crc, header.key().getBytes(UTF_8));
      update(crc, header.value());
    }
    crc.update(String.valueOf(record.timestamp()).getBytes(ISO_8859_1));
    return "[" + record.partition() + "," + record.offset() + "," + number + "," + crc.getValue() + "]";
  }

  static void update(CRC32 crc, byte[] bytes) {
    crc.update(bytes);
    crc.update(0);
  }

  /** The whole topic, without a group. */
  static String readAll(String topic) throws Exception {
    List<String> rows = new ArrayList<>();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config("consumer"))) {
      List<TopicPartition> partitions = partitionsOf(topic);
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      until("the topic is read", () -> {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
          rows.add(row(record, Integer.parseInt(new String(record.value(), UTF_8).split(" ")[1])));
        }
        return partitions.stream().allMatch(each -> consumer.position(each) >= ends.get(each));
      });
    }
    return rows.toString();
  }

  static Map<Integer, Long> offsets(String topic, OffsetSpec spec) throws Exception {
    Map<TopicPartition, OffsetSpec> asked = partitionsOf(topic).stream().collect(Collectors.toMap(Function.identity(), each -> spec));
    Map<Integer, Long> found = new TreeMap<>();
    admin.listOffsets(asked).all().get().forEach((partition, info) -> found.put(partition.partition(), info.offset()));
    return found;
  }

  static String committed(String group) throws Exception {
    Map<Integer, Long> found = new TreeMap<>();
    admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
        .forEach((partition, offset) -> found.put(partition.partition(), offset.offset()));
    return json(found);
  }

  static String setting(ConfigResource resource) throws Exception {
    return admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
  }

  static List<TopicPartition> partitionsOf(String topic) {
    List<TopicPartition> partitions = new ArrayList<>();
    for (int partition = 0; partition < PARTITIONS; partition++) partitions.add(new TopicPartition(topic, partition));
    return partitions;
  }

  /** Asks for the description: its answer's method has another name in 2.8. */
  static int partitionCount(String topic) throws Exception {
    DescribeTopicsResult result = admin.describeTopics(List.of(topic));
    String method = "values";
    for (var each : DescribeTopicsResult.class.getMethods()) if (each.getName().equals("topicNameValues")) method = each.getName();
    Map<?, ?> answers = (Map<?, ?>) DescribeTopicsResult.class.getMethod(method).invoke(result);
    return ((TopicDescription) ((KafkaFuture<?>) answers.get(topic)).get()).partitions().size();
  }

  interface Action {
    void run() throws Exception;
  }

  static int codeOf(Action action) throws Exception {
    try {
      action.run();
      return 0;
    } catch (ExecutionException error) {
      return Errors.forException(error.getCause()).code();
    }
  }

  interface Condition {
    boolean holds() throws Exception;
  }

  static void until(String what, Condition condition) throws Exception {
    long deadline = System.nanoTime() + 60_000_000_000L;
    while (!condition.holds()) {
      if (System.nanoTime() > deadline) die(new IllegalStateException("waited in vain until " + what));
      Thread.sleep(5);
    }
  }

  static String json(Map<Integer, Long> offsets) {
    return offsets.entrySet().stream().map(each -> "\"" + each.getKey() + "\":" + each.getValue())
        .collect(Collectors.joining(",", "{", "}"));
  }

  static void tell(String step, String rest) {
    System.out.println("{\"step\":\"" + step + "\"," + rest + "}");
    System.out.flush();
  }

  static void die(Throwable error) {
    error.printStackTrace();
    Runtime.getRuntime().halt(1);
  }
}
