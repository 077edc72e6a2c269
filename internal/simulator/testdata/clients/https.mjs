// Shopify's own client, and one by others, as they come: nothing of them is
// replaced, and no address of the simulator is known here. The environment
// names the authority to trust and the proxy that finds the shops.
import { createServer } from 'node:http'
import '@shopify/shopify-api/adapters/node'
import { LogSeverity, shopifyApi } from '@shopify/shopify-api'
import Shopify from 'shopify-api-node'
import { must, tell, told } from './client.mjs'

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

const { shop, clientID, secret } = await told()
const shopify = shopifyApi({
  apiKey: clientID,
  apiSecretKey: secret,
  scopes: ['read_products'],
  hostName,
  hostScheme: 'http',
  apiVersion: '2026-10',
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
})

let session
routes['/auth'] = (rawRequest, rawResponse) =>
  shopify.auth.begin({ shop, callbackPath: '/auth/callback', isOnline: false, rawRequest, rawResponse })
routes['/auth/callback'] = async (rawRequest, rawResponse) => {
  const done = await shopify.auth.callback({ expiring: true, rawRequest, rawResponse })
  session = done.session
  rawResponse.end('connected')
}
// The merchant's browser, which goes where it is sent.
const browser = 'Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
const browse = (address, cookie) => fetch(address, { redirect: 'manual', headers: { cookie, 'user-agent': browser } })
const begun = await browse(`http://${hostName}/auth`, '')
const cookie = begun.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ')
const authorize = begun.headers.get('location')
must(authorize?.startsWith(`https://${shop}/admin/oauth/authorize?`), `the library began with ${begun.status} to ${authorize}`)
const consented = await browse(authorize, '')
const connected = await browse(consented.headers.get('location'), cookie)
must(connected.status === 200 && session, `the callback answered ${connected.status}`)
tell('oauth', { scope: session.scope })

const client = new shopify.clients.Graphql({ session })
const { data } = await client.request('{ shop { myshopifyDomain } products(first: 250) { nodes { id } } }')
tell('asked', { shop: data.shop.myshopifyDomain, products: data.products.nodes.length })

const other = new Shopify({ shopName: shop, accessToken: session.accessToken, apiVersion: '2026-10' })
const answer = await other.graphql('{ shop { myshopifyDomain } products(first: 250) { nodes { id } } }')
tell('others', { shop: answer.shop.myshopifyDomain, products: answer.products.nodes.length })
process.exit(0)
