// Programs for browsers, each as one file.
import { rolldown } from "rolldown";

export interface Bundle {
  readonly code: string;
  /** Of every file that went into it. */
  readonly modules: readonly string[];
}

/** Bundles what a browser would load for `entry`. */
export async function bundle(entry: string): Promise<Bundle> {
  const build = await rolldown({ input: entry, platform: "browser", logLevel: "silent" });
  try {
    const { output } = await build.generate({ format: "esm", minify: true });
    const [chunk, ...others] = output;
    if (others.length > 0) throw new Error(`${entry} made ${output.length} files, not one`);
    return { code: chunk.code, modules: chunk.moduleIds };
  } finally {
    await build.close();
  }
}
