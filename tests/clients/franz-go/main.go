// franz-go behind the language of ../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var printing sync.Mutex

func say(fields ...any) {
	words := make([]string, len(fields))
	for i, field := range fields {
		words[i] = fmt.Sprint(field)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(strings.Join(words, "\t"))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func number(options map[string]string, name string, otherwise int64) int64 {
	value, err := strconv.ParseInt(options[name], 10, 64)
	if err != nil {
		return otherwise
	}
	return value
}

var codecs = map[string]kgo.CompressionCodec{
	"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func producerSettings(options map[string]string) []kgo.Opt {
	settings := []kgo.Opt{
		kgo.SeedBrokers(options["bootstrap"]), kgo.DefaultProduceTopic(options["topic"]),
		kgo.ProducerBatchCompression(codecs[options["codec"]]), kgo.AllowAutoTopicCreation(),
		kgo.ProducerLinger(time.Duration(number(options, "linger", 5)) * time.Millisecond),
		kgo.ProducerBatchMaxBytes(8 << 20), kgo.UnknownTopicRetries(100), kgo.MaxBufferedRecords(1 << 20),
	}
	// franz-go counts this from a record's timestamp, and gives up at once on records of long ago.
	if options["timestamp"] == "" {
		settings = append(settings, kgo.RecordDeliveryTimeout(90*time.Second))
	}
	if options["idempotent"] != "1" {
		settings = append(settings, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	}
	return settings
}

func recordOf(options map[string]string, text string, line int64) *kgo.Record {
	key, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\t")
	record := &kgo.Record{Value: []byte(value)}
	if key != "" {
		record.Key = []byte(key)
	}
	if options["headers"] != "" {
		index := []byte(strconv.FormatInt(line, 10))
		record.Headers = []kgo.RecordHeader{{Key: "line", Value: index}, {Key: "empty", Value: []byte{}}}
	}
	if options["timestamp"] != "" {
		record.Timestamp = time.UnixMilli(number(options, "timestamp", 0) + 1000*line)
	}
	return record
}

// A record and the number of its line.
type numbered struct {
	record *kgo.Record
	line   int64
}

// Records on their way, and what became of them.
type sender struct {
	client *kgo.Client
	lock   sync.Mutex
	failed error
	// Records whose topic was created anew meanwhile, in the order they were sent.
	orphaned []numbered
}

func (s *sender) send(sent numbered) {
	s.client.Produce(context.Background(), sent.record, func(done *kgo.Record, err error) {
		s.lock.Lock()
		defer s.lock.Unlock()
		switch {
		case err == nil:
			say("acked", done.Partition, done.Offset, sent.line)
		case errors.Is(err, kerr.UnknownTopicID):
			s.orphaned = append(s.orphaned, sent)
		default:
			s.failed = err
		}
	})
}

// Waits for all records. A topic that was created anew is refused until it is purged: then its records go again.
func (s *sender) finish(topic string) {
	for tries := 0; ; tries++ {
		check(s.client.Flush(context.Background()))
		s.lock.Lock()
		orphaned := s.orphaned
		s.orphaned = nil
		s.lock.Unlock()
		if len(orphaned) == 0 {
			return
		}
		if tries == 5 {
			fail(kerr.UnknownTopicID)
		}
		s.client.PurgeTopicsFromProducing(topic)
		for _, sent := range orphaned {
			old := sent.record
			fresh := &kgo.Record{Key: old.Key, Value: old.Value, Headers: old.Headers, Timestamp: old.Timestamp}
			s.send(numbered{fresh, sent.line})
		}
	}
}

func produce(options map[string]string) {
	client, err := kgo.NewClient(producerSettings(options)...)
	check(err)
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	sender := &sender{client: client}
	for line := int64(0); ; line++ {
		text, err := input.ReadString('\n')
		if err == io.EOF {
			break
		}
		check(err)
		sender.send(numbered{recordOf(options, text, line), line})
	}
	sender.finish(options["topic"])
	client.Close()
	check(sender.failed)
}

func partitionsOf(assigned map[string][]int32) string {
	var all []int
	for _, partitions := range assigned {
		for _, partition := range partitions {
			all = append(all, int(partition))
		}
	}
	sort.Ints(all)
	words := make([]string, len(all))
	for i, partition := range all {
		words[i] = strconv.Itoa(partition)
	}
	return strings.Join(words, ",")
}

func groupOptions(options map[string]string) []kgo.Opt {
	balancers := map[string]kgo.GroupBalancer{
		"": kgo.RangeBalancer(), "range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"cooperative": kgo.CooperativeStickyBalancer(),
	}
	told := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			say(what, partitionsOf(partitions))
		}
	}
	settings := []kgo.Opt{
		kgo.ConsumerGroup(options["group"]), kgo.ConsumeTopics(options["topic"]),
		kgo.Balancers(balancers[options["strategy"]]), kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond), kgo.AutoCommitInterval(time.Second),
		kgo.OnPartitionsAssigned(told("assigned")), kgo.OnPartitionsRevoked(told("revoked")),
		kgo.OnPartitionsLost(told("revoked")),
	}
	if options["instance"] != "" {
		settings = append(settings, kgo.InstanceID(options["instance"]))
	}
	return settings
}

func placeOf(from string) kgo.Offset {
	kind, value, _ := strings.Cut(from, ":")
	at, _ := strconv.ParseInt(value, 10, 64)
	switch kind {
	case "latest":
		return kgo.NewOffset().AtEnd()
	case "offset":
		return kgo.NewOffset().At(at)
	case "time":
		return kgo.NewOffset().AfterMilli(at)
	}
	return kgo.NewOffset().AtStart()
}

func consume(options map[string]string) {
	settings := []kgo.Opt{
		kgo.SeedBrokers(options["bootstrap"]), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.FetchMaxPartitionBytes(8 << 20), kgo.ConsumeResetOffset(placeOf(options["reset"])),
	}
	if options["partition"] != "" {
		place := map[int32]kgo.Offset{int32(number(options, "partition", 0)): placeOf(options["from"])}
		settings = append(settings, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{options["topic"]: place}))
	} else {
		settings = append(settings, groupOptions(options)...)
	}
	client, err := kgo.NewClient(settings...)
	check(err)
	ended, end := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	left := number(options, "count", 1<<60)
	for left > 0 && ended.Err() == nil {
		fetched := client.PollRecords(ended, int(min(left, 500)))
		fetched.EachError(func(_ string, partition int32, err error) {
			if ended.Err() == nil {
				fmt.Fprintln(os.Stderr, partition, err)
			}
		})
		fetched.EachRecord(func(record *kgo.Record) {
			headers := make([]string, len(record.Headers))
			for i, header := range record.Headers {
				headers[i] = header.Key + "=" + string(header.Value)
			}
			say("record", record.Partition, record.Offset, record.Timestamp.UnixMilli(), string(record.Key),
				len(record.Value), crc32.ChecksumIEEE(record.Value), strings.Join(headers, ";"))
			left--
		})
	}
	if options["group"] != "" {
		_ = client.CommitUncommittedOffsets(context.Background())
	}
	// A static member that leaves by Close stays a member until its session ends, as it should.
	client.Close()
}

func admin(options map[string]string, configs map[string]*string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(options["bootstrap"]))
	check(err)
	defer client.Close()
	admin, background, topic := kadm.NewClient(client), context.Background(), options["topic"]
	switch options["action"] {
	case "create":
		_, err = admin.CreateTopic(background, int32(number(options, "partitions", -1)), 1, configs, topic)
		check(err)
	case "delete":
		_, err = admin.DeleteTopic(background, topic)
		check(err)
	case "alter":
		var changes []kadm.AlterConfig
		for name, value := range configs {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
		}
		answers, err := admin.AlterTopicConfigs(background, changes, topic)
		check(err)
		for _, answer := range answers {
			check(answer.Err)
		}
	default:
		topics, err := admin.ListTopics(background, topic)
		check(err)
		say("partitions", len(topics[topic].Partitions))
		described, err := admin.DescribeTopicConfigs(background, topic)
		check(err)
		for _, entry := range described[0].Configs {
			say("config", entry.Key, entry.MaybeValue())
		}
	}
}

func main() {
	options, configs := map[string]string{}, map[string]*string{}
	for _, word := range os.Args[2:] {
		name, value, _ := strings.Cut(word, "=")
		if name == "config" {
			key, setting, _ := strings.Cut(value, ":")
			configs[key] = &setting
		} else {
			options[name] = value
		}
	}
	switch os.Args[1] {
	case "produce":
		produce(options)
	case "consume":
		consume(options)
	case "admin":
		admin(options, configs)
	default:
		fail(fmt.Errorf("no verb %s", os.Args[1]))
	}
}
