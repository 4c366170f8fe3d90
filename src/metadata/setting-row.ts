import type { Setting, SettingType } from "./settings-table.ts";

/** What most settings are; a row says only where it differs. */
interface Traits {
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly isReadOnly?: boolean;
  /** Broker settings that give the default, the strongest first. */
  readonly brokerNames?: readonly (string | readonly [name: string, unit: number])[];
}

/** The start of a row: its name, type and default. */
interface Head {
  readonly name: string;
  readonly type: SettingType;
  readonly defaultValue: string | undefined;
}

/** `has("retention.ms", "long", "604800000")` */
export function has(name: string, type: SettingType, defaultValue?: string): Head {
  return { name, type, defaultValue };
}

/** A setting that the product acts upon. */
export function used(head: Head, doc: string, traits: Traits = {}): Setting {
  return row(head, doc, traits, true);
}

/** A setting that is accepted and kept, so that tools written for other brokers work, and changes nothing here. */
export function kept(head: Head, doc: string, traits: Traits = {}): Setting {
  return row(head, `${doc} Kept for tools; it changes nothing here.`, traits, false);
}

function row(head: Head, doc: string, traits: Traits, isUsed: boolean): Setting {
  return {
    ...head,
    doc,
    isUsed,
    isReadOnly: traits.isReadOnly ?? false,
    min: traits.min,
    max: traits.max,
    choices: traits.choices,
    brokerNames: (traits.brokerNames ?? []).map((synonym) =>
      typeof synonym === "string"
        ? { name: synonym, unit: 1 }
        : { name: synonym[0], unit: synonym[1] },
    ),
  };
}
