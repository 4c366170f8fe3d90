/** What services and messages there are, for tools such as grpcurl. */
import {
  create,
  type DescFile,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";

import { reflection, reflectionAlpha } from "../../proto/index.ts";

type Answer = MessageInitShape<typeof reflection.ServerReflectionResponseSchema>["messageResponse"];

/** Answers for both versions of the contract, which have the same messages under two names. */
export function addReflection(router: ConnectRouter, files: readonly DescFile[]): void {
  const catalogue = new Catalogue(files);
  router.service(reflection.ServerReflection, {
    serverReflectionInfo: (requests) => catalogue.answers(requests),
  });
  router.service(reflectionAlpha.ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        const bytes = toBinary(reflectionAlpha.ServerReflectionRequestSchema, request);
        const question = fromBinary(reflection.ServerReflectionRequestSchema, bytes);
        const answer = create(
          reflection.ServerReflectionResponseSchema,
          catalogue.answer(question),
        );
        yield fromBinary(
          reflectionAlpha.ServerReflectionResponseSchema,
          toBinary(reflection.ServerReflectionResponseSchema, answer),
        );
      }
    },
  });
}

type Question = reflection.ServerReflectionRequest;

class Catalogue {
  readonly #byName = new Map<string, DescFile>();
  readonly #bySymbol = new Map<string, DescFile>();
  readonly #services: readonly string[];

  constructor(files: readonly DescFile[]) {
    for (const file of files) this.#add(file);
    this.#services = files.flatMap((file) => file.services.map(({ typeName }) => typeName));
  }

  async *answers(
    requests: AsyncIterable<Question>,
  ): AsyncGenerator<MessageInitShape<typeof reflection.ServerReflectionResponseSchema>> {
    for await (const request of requests) yield this.answer(request);
  }

  answer(
    originalRequest: Question,
  ): MessageInitShape<typeof reflection.ServerReflectionResponseSchema> {
    const { host: validHost, messageRequest } = originalRequest;
    return { validHost, originalRequest, messageResponse: this.#answer(messageRequest) };
  }

  #answer(question: Question["messageRequest"]): NonNullable<Answer> {
    switch (question.case) {
      case "listServices": {
        const service = this.#services.toSorted().map((name) => ({ name }));
        return { case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return this.#file(this.#byName.get(question.value), `the file ${question.value}`);
      case "fileContainingSymbol":
        return this.#file(this.#bySymbol.get(question.value), `the symbol ${question.value}`);
      case "allExtensionNumbersOfType":
        return this.#bySymbol.has(question.value)
          ? {
              case: "allExtensionNumbersResponse",
              value: { baseTypeName: question.value, extensionNumber: [] },
            }
          : this.#file(undefined, `the symbol ${question.value}`);
      case "fileContainingExtension":
        return this.#file(undefined, `an extension of ${question.value.containingType}`);
      case undefined:
      default:
        return failure(Code.InvalidArgument, "nothing is asked");
    }
  }

  #file(file: DescFile | undefined, what: string): NonNullable<Answer> {
    if (file === undefined) return failure(Code.NotFound, `there is not ${what}`);
    const fileDescriptorProto = [toBinary(FileDescriptorProtoSchema, file.proto)];
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }

  #add(file: DescFile): void {
    if (this.#byName.has(file.proto.name)) return;
    this.#byName.set(file.proto.name, file);
    for (const service of file.services) {
      this.#bySymbol.set(service.typeName, file);
      for (const method of service.methods) {
        this.#bySymbol.set(`${service.typeName}.${method.name}`, file);
      }
    }
    for (const { typeName } of file.enums) this.#bySymbol.set(typeName, file);
    this.#addMessages(file, file.messages);
    for (const dependency of file.dependencies) this.#add(dependency);
  }

  #addMessages(file: DescFile, messages: DescFile["messages"]): void {
    for (const message of messages) {
      this.#bySymbol.set(message.typeName, file);
      for (const { typeName } of message.nestedEnums) this.#bySymbol.set(typeName, file);
      this.#addMessages(file, message.nestedMessages);
    }
  }
}

function failure(errorCode: Code, errorMessage: string): NonNullable<Answer> {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
