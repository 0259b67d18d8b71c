// KafkaJS behind the language of ../README.md.
'use strict'

const readline = require('readline')
const {
  AssignerProtocol,
  CompressionCodecs,
  CompressionTypes,
  ConfigResourceTypes,
  Kafka,
  PartitionAssigners,
  logLevel,
} = require('kafkajs')
const lz4 = require('lz4-napi')
const snappy = require('snappy')
const { ZstdCodec } = require('zstd-codec')

const say = (...fields) => process.stdout.write(fields.join('\t') + '\n')

// KafkaJS brings gzip alone; the others are packages that its users add. Java's framing of snappy is told by its magic.
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: encoder => snappy.compress(encoder.buffer),
  decompress: async buffer => {
    if (!buffer.subarray(0, 8).equals(XERIAL)) return snappy.uncompress(buffer)
    const parts = []
    for (let at = 16; at < buffer.length; ) {
      const size = buffer.readInt32BE(at)
      parts.push(await snappy.uncompress(buffer.subarray(at + 4, at + 4 + size)))
      at += 4 + size
    }
    return Buffer.concat(parts)
  },
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
const zstd = new Promise(resolve => ZstdCodec.run(module => resolve(new module.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
})

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const TABLE = Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? (number >>> 1) ^ 0xedb88320 : number >>> 1
  return number >>> 0
})
const crc32 = bytes => {
  let crc = 0xffffffff
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

const kafkaOf = options =>
  new Kafka({
    brokers: [options.bootstrap],
    logLevel: logLevel.ERROR,
    requestTimeout: 15000,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 100 },
  })

async function produce(options) {
  const idempotent = options.idempotent === '1'
  const producer = kafkaOf(options).producer({
    idempotent,
    maxInFlightRequests: idempotent ? 1 : 5,
    allowAutoTopicCreation: true,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: idempotent ? 1000 : 100 },
  })
  await producer.connect()
  let line = 0
  const send = async batch => {
    const messages = batch.map(({ message }) => message)
    const results = await producer.send({
      topic: options.topic,
      messages,
      acks: -1,
      compression: CODECS[options.codec || 'none'],
    })
    // The answer has a base offset per partition; KafkaJS does not say which message went where, so the partition
    // of each is chosen here when it has to be known.
    const next = new Map(results.map(result => [result.partition, Number(result.baseOffset)]))
    const known = results.length === 1
    for (const { number, message } of batch) {
      const partition = known ? results[0].partition : message.partition
      say('acked', partition, next.get(partition), number)
      next.set(partition, next.get(partition) + 1)
    }
  }
  let partitions = null
  const partitionOf = async key => {
    if (partitions === null) {
      const admin = kafkaOf(options).admin()
      await admin.connect()
      try {
        const { topics } = await admin.fetchTopicMetadata({ topics: [options.topic] })
        partitions = topics[0].partitions.length
      } catch {
        partitions = 1
      }
      await admin.disconnect()
    }
    return crc32(Buffer.from(key)) % partitions
  }
  let waiting = []
  let sending = Promise.resolve()
  let timer = null
  const flush = () => {
    clearTimeout(timer)
    timer = null
    const batch = waiting
    waiting = []
    if (batch.length > 0) sending = sending.then(() => send(batch))
    return sending
  }
  for await (const text of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const tab = text.indexOf('\t')
    const [key, value] = [text.slice(0, tab), text.slice(tab + 1)]
    const message = { key: key === '' ? null : key, value, partition: await partitionOf(key) }
    if (options.headers) message.headers = { line: String(line), empty: '' }
    if (options.timestamp) message.timestamp = String(Number(options.timestamp) + 1000 * line)
    waiting.push({ number: line, message })
    line += 1
    if (waiting.length >= 500) await flush()
    else if (timer === null) timer = setTimeout(() => flush().catch(fail), Number(options.linger || 5))
  }
  await flush()
  await producer.disconnect()
}

// KafkaJS brings a round robin; a range is written here with the tools it gives for that.
const range = ({ cluster }) => ({
  name: 'range',
  version: 1,
  protocol: ({ topics }) => ({
    name: 'range',
    metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.alloc(0) }),
  }),
  assign: async ({ members, topics }) => {
    const ids = members.map(member => member.memberId).sort()
    const given = Object.fromEntries(ids.map(id => [id, {}]))
    for (const topic of topics) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map(found => found.partitionId).sort((a, b) => a - b)
      const each = Math.ceil(partitions.length / ids.length)
      ids.forEach((id, place) => (given[id][topic] = partitions.slice(place * each, (place + 1) * each)))
    }
    return ids.map(memberId => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({
        version: 1,
        assignment: given[memberId],
        userData: Buffer.alloc(0),
      }),
    }))
  },
})

async function consume(options) {
  const kafka = kafkaOf(options)
  // KafkaJS knows no consumer without a group: a group of its own, and a seek.
  const groupId = options.group || `alone-${process.pid}-${Date.now()}`
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 6000,
    heartbeatInterval: 500,
    rebalanceTimeout: 10000,
    maxWaitTimeInMs: 100,
    maxBytesPerPartition: 8 << 20,
    partitionAssigners: [options.strategy === 'roundrobin' ? PartitionAssigners.roundRobin : range],
  })
  let ended = () => {}
  const end = new Promise(resolve => (ended = resolve))
  process.stdin.on('end', () => ended()).resume()
  if (options.group) {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      const partitions = (payload.memberAssignment[options.topic] || []).slice().sort((a, b) => a - b)
      say('assigned', partitions.join(','))
    })
    consumer.on(consumer.events.REBALANCING, () => say('revoked', 'all'))
  }
  consumer.on(consumer.events.CRASH, ({ payload }) => process.stderr.write(`${payload.error}\n`))
  await consumer.connect()
  const latest = options.from === 'latest' || options.reset === 'latest'
  await consumer.subscribe({ topics: [options.topic], fromBeginning: !latest })
  let left = options.count ? Number(options.count) : Infinity
  const wanted = options.partition === undefined ? null : Number(options.partition)
  const start = wanted === null ? null : await placeOf(kafka, options, wanted)
  const seen = (partition, message) => {
    if (left <= 0 || (wanted !== null && (partition !== wanted || Number(message.offset) < start))) return
    const headers = Object.entries(message.headers || {}).map(([name, value]) => `${name}=${value}`).join(';')
    const value = message.value || Buffer.alloc(0)
    const key = message.key ? message.key.toString() : ''
    say('record', partition, message.offset, message.timestamp, key, value.length, crc32(value), headers)
    left -= 1
    if (left === 0) ended()
  }
  const running = consumer.run({
    autoCommitInterval: 1000,
    eachMessage: async ({ partition, message }) => seen(partition, message),
  })
  if (start !== null) consumer.seek({ topic: options.topic, partition: wanted, offset: String(start) })
  await running
  await end
  await consumer.disconnect()
}

async function placeOf(kafka, options, partition) {
  const [kind, number] = (options.from || 'earliest').split(':')
  if (kind === 'offset') return Number(number)
  const admin = kafka.admin()
  await admin.connect()
  const offsets =
    kind === 'time'
      ? await admin.fetchTopicOffsetsByTimestamp(options.topic, Number(number))
      : await admin.fetchTopicOffsets(options.topic)
  await admin.disconnect()
  const found = offsets.find(offset => offset.partition === partition)
  return Number(kind === 'latest' ? found.high : kind === 'earliest' ? found.low : found.offset)
}

async function admin(options, configs) {
  const client = kafkaOf(options).admin()
  await client.connect()
  const { topic } = options
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  if (options.action === 'create') {
    const numPartitions = Number(options.partitions)
    await client.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] })
  } else if (options.action === 'delete') {
    await client.deleteTopics({ topics: [topic] })
  } else if (options.action === 'alter') {
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configEntries }
    await client.alterConfigs({ validateOnly: false, resources: [resource] })
  } else {
    const { topics } = await client.fetchTopicMetadata({ topics: [topic] })
    say('partitions', topics[0].partitions.length)
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }]
    const described = await client.describeConfigs({ resources, includeSynonyms: false })
    for (const entry of described.resources[0].configEntries) say('config', entry.configName, entry.configValue)
  }
  await client.disconnect()
}

function fail(error) {
  process.stderr.write(`${error && error.stack}\n`)
  process.exit(1)
}

const [verb, ...words] = process.argv.slice(2)
const options = {}
const configs = {}
for (const word of words) {
  const [name, ...rest] = word.split('=')
  const value = rest.join('=')
  if (name === 'config') configs[value.split(':')[0]] = value.slice(value.indexOf(':') + 1)
  else options[name] = value
}
const verbs = { produce, consume, admin }
if (!verbs[verb]) fail(new Error(`no verb ${verb}`))
verbs[verb](options, configs).then(() => process.exit(0), fail)
