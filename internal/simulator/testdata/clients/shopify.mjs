// Shopify's own client against the simulator. Only its fetch is replaced.
import { createServer } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import '@shopify/shopify-api/adapters/node'
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime'
import { GraphqlQueryError, InvalidOAuthError, LogSeverity, shopifyApi } from '@shopify/shopify-api'
import { adapter, must, tell, told } from './client.mjs'

// An app has its address before Shopify hears of it.
const routes = {}
const server = createServer((request, response) => {
  const handle = routes[new URL(request.url, 'http://app').pathname]
  if (!handle) {
    response.writeHead(404).end()
    return
  }
  handle(request, response).catch((error) => {
    console.error(error)
    response.writeHead(500).end()
    process.exit(1)
  })
})
await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
const hostName = `127.0.0.1:${server.address().port}`
tell('listening', { url: `http://${hostName}` })

const { simulator, shop, clientID, secret } = await told()
setAbstractFetchFunc(adapter(simulator))
const shopify = shopifyApi({
  apiKey: clientID,
  apiSecretKey: secret,
  scopes: ['read_products', 'read_inventory'],
  hostName,
  hostScheme: 'http',
  apiVersion: '2026-10',
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
})

// OAuth, with the merchant's browser played by fetch.
let session
routes['/auth'] = (rawRequest, rawResponse) =>
  shopify.auth.begin({ shop, callbackPath: '/auth/callback', isOnline: false, rawRequest, rawResponse })
routes['/auth/callback'] = async (rawRequest, rawResponse) => {
  try {
    const done = await shopify.auth.callback({ expiring: true, rawRequest, rawResponse })
    session = done.session
    rawResponse.end('connected')
  } catch (error) {
    if (!(error instanceof InvalidOAuthError)) throw error
    rawResponse.writeHead(400).end('refused')
  }
}
// The library turns bots away, and takes Node's own name for one.
const browser = 'Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
const browse = (address, cookie) => adapter(simulator)(address, { redirect: 'manual', headers: { cookie, 'user-agent': browser } })
const begun = await browse(`http://${hostName}/auth`, '')
must(begun.status === 302, `the library began with ${begun.status}`)
const cookie = begun.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ')
const consented = await browse(begun.headers.get('location'), '')
must(consented.status === 302, `authorize answered ${consented.status}: ${await consented.text()}`)
const callback = consented.headers.get('location')
const forged = await browse(callback.replace(/hmac=[0-9a-f]{4}/, 'hmac=0000'), cookie)
must(forged.status === 400 && !session, `the library took a forged callback: ${forged.status}`)
const connected = await browse(callback, cookie)
must(connected.status === 200 && session, `the callback answered ${connected.status}`)
must(session.accessToken.startsWith('shpat_') && session.refreshToken.startsWith('shprt_'), 'the session has no expiring token')
tell('oauth', { scope: session.scope, expires_in: Math.round((session.expires - Date.now()) / 1000), expired: session.isExpired() })

// The library throws where the budget is spent. Waiting is its user's part: for
// as long as the answer's costs say.
let client = new shopify.clients.Graphql({ session })
let throttled = 0
let waited = 0
async function patiently(query, variables) {
  for (;;) {
    try {
      return await client.request(query, { variables })
    } catch (error) {
      if (!(error instanceof GraphqlQueryError)) throw error
      if (error.body.errors.graphQLErrors[0].extensions?.code !== 'THROTTLED') throw error
      const { requestedQueryCost, actualQueryCost, throttleStatus } = error.body.extensions.cost
      must(actualQueryCost === null, `a throttled answer has the actual cost ${actualQueryCost}`)
      const seconds = (requestedQueryCost - throttleStatus.currentlyAvailable) / throttleStatus.restoreRate
      throttled++
      waited += seconds
      await wait(Math.ceil(seconds * 1000))
    }
  }
}

// Paging through everything, with less budget than that takes.
const products = new Set()
for (let after = null, more = true; more; ) {
  const { data } = await patiently(
    `query Page($after: String) {
      products(first: 20, after: $after) { nodes { id title } pageInfo { hasNextPage endCursor } }
    }`,
    { after },
  )
  for (const product of data.products.nodes) products.add(product.id)
  more = data.products.pageInfo.hasNextPage
  after = data.products.pageInfo.endCursor
}
tell('paged', { products: products.size, throttled, waited })

// A refused query is the library's error, with Shopify's code.
try {
  await patiently('{ shop { weather } }')
  must(false, 'an unknown field was answered')
} catch (error) {
  if (!(error instanceof GraphqlQueryError)) throw error
  tell('refused', { code: error.body.errors.graphQLErrors[0].extensions.code })
}

// A webhook, validated by the library's own checker, and a tampered one not.
const heard = new Promise((resolve) => {
  routes['/webhooks'] = async (rawRequest, rawResponse) => {
    const chunks = []
    for await (const chunk of rawRequest) chunks.push(chunk)
    const rawBody = Buffer.concat(chunks).toString('utf8')
    const genuine = await shopify.webhooks.validate({ rawBody, rawRequest, rawResponse })
    const tampered = await shopify.webhooks.validate({ rawBody: rawBody.replace('"title"', '"tytle"'), rawRequest, rawResponse })
    rawResponse.end()
    resolve({ genuine, tampered, title: JSON.parse(rawBody).title })
  }
})
const subscribed = await patiently(
  `mutation Subscribe($uri: String!) {
    webhookSubscriptionCreate(topic: PRODUCTS_UPDATE, webhookSubscription: { uri: $uri }) {
      webhookSubscription { id topic uri }
      userErrors { field message }
    }
  }`,
  { uri: `http://${hostName}/webhooks` },
)
must(subscribed.data.webhookSubscriptionCreate.userErrors.length === 0, JSON.stringify(subscribed.data))
tell('subscribed')
const { genuine, tampered, title } = await heard
tell('webhook', {
  valid: genuine.valid, topic: genuine.topic, domain: genuine.domain, version: genuine.apiVersion, title,
  tampered: tampered.valid, reason: tampered.reason,
})

// A token refreshed: the new one works, and the old one until its own hour ends.
const before = session
const refreshed = await shopify.auth.refreshToken({ shop, refreshToken: session.refreshToken })
session = refreshed.session
must(session.accessToken !== before.accessToken && session.refreshToken !== before.refreshToken, 'nothing was renewed')
for (const each of [session, before]) {
  client = new shopify.clients.Graphql({ session: each })
  const { data } = await patiently('{ shop { myshopifyDomain } }')
  must(data.shop.myshopifyDomain === shop, `asked ${shop}, heard ${data.shop.myshopifyDomain}`)
}
tell('refreshed')
process.exit(0)
