import { api, array, bool, int16, int32, int64, string } from "../codec/schema.ts";

export const apiVersions = api(
  [18, "ApiVersions"],
  { min: 0, max: 5, flexible: 3 },
  {
    clientSoftwareName: string.since(3).default(""),
    clientSoftwareVersion: string.since(3).default(""),
    clusterId: string.since(5).nullable(),
    nodeId: int32.since(5).default(-1),
  },
  {
    // The response has the oldest header in every version: its reader knows no version yet.
    errorCode: int16,
    apiKeys: array({ apiKey: int16, minVersion: int16, maxVersion: int16 }),
    throttleTimeMs: int32.since(1).default(0),
    supportedFeatures: array({ name: string, minVersion: int16, maxVersion: int16 })
      .since(3)
      .tag(0),
    // -1 where the server finalized none.
    finalizedFeaturesEpoch: int64.since(3).default(-1).tag(1),
    finalizedFeatures: array({ name: string, maxVersionLevel: int16, minVersionLevel: int16 })
      .since(3)
      .tag(2),
    zkMigrationReady: bool.since(3).default(false).tag(3),
  },
);
