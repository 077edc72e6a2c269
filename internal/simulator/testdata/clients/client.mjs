// What the programs beside this file share: where the simulator is, how a
// library that knows https://{shop} alone reaches it, and how results are told.
//
// Each program prints one line of JSON a step; the test reads them and writes
// one line of JSON per step; the test reads them and answers on standard input
// where a step needs something done to the shop.
import { Agent } from 'node:https'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

export const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

// told waits for the test's next line.
export async function told() {
  const { value, done } = await lines.next()
  if (done) throw new Error('the test went away')
  return JSON.parse(value)
}

export function tell(step, facts = {}) {
  console.log(JSON.stringify({ step, ...facts }))
}

export function must(condition, text) {
  if (!condition) throw new Error(text)
}

// adapter is a fetch that leads https://{shop}/… to {simulator}/{shop}/….
export function adapter(simulator) {
  return (address, options) => {
    const url = new URL(address)
    if (url.hostname.endsWith('.myshopify.com')) {
      address = `${simulator}/${url.hostname}${url.pathname}${url.search}`
    }
    return fetch(address, options)
  }
}

// PlainAgent is for libraries that take an agent: it dials the simulator for
// every host, without TLS. The Host header then says which shop is meant.
export class PlainAgent extends Agent {
  constructor(simulator) {
    super()
    this.simulator = new URL(simulator)
  }

  createConnection() {
    return connect(Number(this.simulator.port), this.simulator.hostname)
  }
}
